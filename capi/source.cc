#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "capi/guard.hpp"
#include "capi/handles.hpp"
#include "capi/options.hpp"

using namespace ptsecure::capi;
using ptsecure::Error;
using ptsecure::PlainInput;
using ptsecure::Status;

namespace {

constexpr std::size_t kFirstGridfsFile = 40;
constexpr std::size_t kFirstPart = 48;
static_assert(sizeof(pts_gridfs_file) >= kFirstGridfsFile);
static_assert(sizeof(pts_part) >= kFirstPart);

std::optional<std::string> path_of(const char* path) {
  if (path == nullptr) return std::nullopt;
  return std::string(check_utf8(path, "path"));
}

// What a caller lent to a source: given back once, and only if the source took it.
class Loan {
 public:
  Loan(pts_release_fn release, void* user) noexcept : release_(release), user_(user) {}
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  ~Loan() {
    if (taken_ && release_ != nullptr) release_(user_);
  }
  void take() noexcept { taken_ = true; }

 private:
  pts_release_fn release_;
  void* user_;
  bool taken_ = false;
};

std::unique_ptr<PlainInput> reader(const pts_part& part, std::shared_ptr<const Loan> loan) {
  return ptsecure::callback_input(
      part.size,
      [read = part.read, user = part.user, loan = std::move(loan)](std::uint64_t position,
                                                                   void* data, std::size_t count) {
        if (read(user, position, data, count) != 0) {
          throw Error(Status::io, "the read callback failed at byte " + std::to_string(position));
        }
      },
      part.concurrent != 0);
}

ptsecure::GridfsName gridfs_name(const pts_gridfs_file& file) {
  ptsecure::GridfsName name;
  name.uri = need_text(file.uri, "uri");
  if (file.bucket != nullptr) name.bucket = file.bucket;
  name.filename = text_or_empty(file.filename);
  name.id = text_or_empty(file.id);
  return name;
}

}  // namespace

pts_status pts_source_create(pts_source** out, pts_error* error) {
  return create(out, error, [] { return new pts_source; });
}

pts_status pts_source_add_file(pts_source* self, const char* path, const char* file,
                               pts_error* error) {
  return guard(error, [&] {
    ptsecure::Source& source = need(self, "self").source;
    source.add(path_of(path), ptsecure::file_input(need_text(file, "file")));
  });
}

pts_status pts_source_add_bytes(pts_source* self, const char* path, const void* data, size_t size,
                                pts_error* error) {
  return guard(error, [&] {
    ptsecure::Source& source = need(self, "self").source;
    if (size != 0 && data == nullptr) throw_null("data");
    source.add(path_of(path),
               ptsecure::memory_input({static_cast<const std::uint8_t*>(data), size}));
  });
}

void pts_gridfs_file_init(pts_gridfs_file* file) {
  if (file != nullptr) *file = pts_gridfs_file PTS_GRIDFS_FILE_INIT;
}

pts_status pts_source_add_gridfs(pts_source* self, const char* path, const pts_gridfs_file* file,
                                 pts_error* error) {
  return guard(error, [&] {
    ptsecure::Source& source = need(self, "self").source;
    const pts_gridfs_file known =
        known_part(&need(file, "file"), pts_gridfs_file PTS_GRIDFS_FILE_INIT, kFirstGridfsFile,
                   "pts_gridfs_file");
    source.add(path_of(path), ptsecure::gridfs_input(gridfs_name(known)));
  });
}

void pts_part_init(pts_part* part) {
  if (part != nullptr) *part = pts_part PTS_PART_INIT;
}

pts_status pts_source_add(pts_source* self, const char* path, const pts_part* part,
                          pts_error* error) {
  return guard(error, [&] {
    ptsecure::Source& source = need(self, "self").source;
    const pts_part known =
        known_part(&need(part, "part"), pts_part PTS_PART_INIT, kFirstPart, "pts_part");
    if (known.read == nullptr) throw_null("read");
    if (known.reserved != 0) {
      throw Error(Status::invalid_argument, "pts_part.reserved must be 0");
    }
    const auto loan = std::make_shared<Loan>(known.release, known.user);
    source.add(path_of(path), reader(known, loan));
    loan->take();
  });
}

void pts_source_destroy(pts_source** self) {
  destroy(self);
}
