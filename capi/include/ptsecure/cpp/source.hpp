// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_SOURCE_HPP_
#define PTSECURE_CPP_SOURCE_HPP_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "ptsecure/cpp/library.hpp"

namespace pts {

// A file in GridFS: by `filename`, the newest of that name, or by `id`. See pts_gridfs_file.
struct GridfsFile {
  std::string uri;
  std::string bucket = "fs";
  std::string filename;
  std::string id;
};

// What is published or imported: parts, each with a path inside of it; an empty path is a part
// without one, the only one of its source. See pts_source.
class Source {
 public:
  // Fills data with bytes [position, position + size) of a part, or throws, which comes out of the
  // call; see pts_read_fn for its threads.
  using Read = std::function<void(std::uint64_t position, void* data, std::size_t size)>;

  Source() : handle_(detail::make<HandleType, pts_source>(pts_source_create)) {}

  // Of one part.
  static Source file(const std::string& file) { return std::move(Source().add_file({}, file)); }
  static Source bytes(const void* data, std::size_t size) {
    return std::move(Source().add_bytes({}, data, size));
  }
  static Source callback(std::uint64_t size, Read read, bool concurrent = false) {
    return std::move(Source().add_callback({}, size, std::move(read), concurrent));
  }
  static Source gridfs(const GridfsFile& file) { return std::move(Source().add_gridfs({}, file)); }

  Source& add_file(const std::string& path, const std::string& file) {
    detail::run([&](pts_error* error) {
      return pts_source_add_file(get(), detail::or_null(path), file.c_str(), error);
    });
    return *this;
  }
  // Borrowed by the source.
  Source& add_bytes(const std::string& path, const void* data, std::size_t size) {
    detail::run([&](pts_error* error) {
      return pts_source_add_bytes(get(), detail::or_null(path), data, size, error);
    });
    return *this;
  }
  // `concurrent`: `read` may be called from several threads at once.
  Source& add_callback(const std::string& path, std::uint64_t size, Read read,
                       bool concurrent = false) {
    auto reader = std::make_unique<Reader>(Reader{std::move(read), thrown_});
    pts_part part = PTS_PART_INIT;
    part.size = size;
    part.read = &on_read;
    part.release = &on_release;
    part.user = reader.get();
    part.concurrent = concurrent ? 1 : 0;
    detail::run([&](pts_error* error) {
      return pts_source_add(get(), detail::or_null(path), &part, error);
    });
    static_cast<void>(reader.release());
    return *this;
  }
  Source& add_gridfs(const std::string& path, const GridfsFile& file) {
    pts_gridfs_file raw = PTS_GRIDFS_FILE_INIT;
    raw.uri = file.uri.c_str();
    raw.bucket = file.bucket.c_str();
    raw.filename = detail::or_null(file.filename);
    raw.id = detail::or_null(file.id);
    detail::run([&](pts_error* error) {
      return pts_source_add_gridfs(get(), detail::or_null(path), &raw, error);
    });
    return *this;
  }

  pts_source* get() const noexcept { return handle_.get(); }

 private:
  friend class Store;
  using HandleType = detail::Handle<pts_source, pts_source_destroy>;
  struct Reader {
    Read read;
    std::shared_ptr<detail::Carrier> thrown;
  };

  static std::int32_t on_read(void* user, std::uint64_t position, void* data, std::size_t size) {
    const auto& self = *static_cast<const Reader*>(user);
    return self.thrown->guard([&] { self.read(position, data, size); });
  }
  static void on_release(void* user) { delete static_cast<Reader*>(user); }

  std::shared_ptr<detail::Carrier> thrown_ = std::make_shared<detail::Carrier>();
  HandleType handle_;
};

}  // namespace pts

#endif  // PTSECURE_CPP_SOURCE_HPP_
