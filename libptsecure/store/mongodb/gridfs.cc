#include "libptsecure/store/gridfs.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "libptsecure/base/number.hpp"
#include "libptsecure/store/mongodb/client.hpp"

// GridFS as its specification says and as any driver writes it: not the store's own files, which
// have one chunk size and ids of their own.
namespace ptsecure {
namespace mongodb {
namespace {

constexpr std::uint64_t kWindow = std::uint64_t{2} << 20;
constexpr std::uint64_t kMaxChunksPerWindow = 1000;
constexpr std::uint64_t kMaxChunkSize = std::uint64_t{16} << 20;  // of a document

void check_bucket(const std::string& bucket) {
  const bool good = !bucket.empty() && bucket.size() <= 64 && bucket[0] != '.' &&
                    bucket.find_first_of("$/ ") == std::string::npos &&
                    bucket.substr(0, 7) != "system.";
  if (good) return;
  throw Error(
      Status::invalid_argument,
      "'" + bucket + "' is no name of a GridFS bucket; drivers use \"fs\" if told no other");
}

// Drivers have written lengths as any kind of number.
std::optional<std::uint64_t> number(const View& document, const char* key) {
  bson_iter_t it;
  if (!bson_iter_init_find(&it, document.get(), key)) return std::nullopt;
  if (!BSON_ITER_HOLDS_DOUBLE(&it)) return integer_at(it);
  const double value = bson_iter_double(&it);
  if (!(value >= 0 && value <= static_cast<double>(kMaxNumber)) || std::floor(value) != value)
    return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

std::optional<ByteView> binary(const View& document, const char* key) {
  bson_iter_t it;
  if (!bson_iter_init_find(&it, document.get(), key) || !BSON_ITER_HOLDS_BINARY(&it)) {
    return std::nullopt;
  }
  std::uint32_t size = 0;
  const std::uint8_t* data = nullptr;
  bson_iter_binary(&it, nullptr, &size, &data);
  return ByteView(data, size);
}

Bson filter_of(const GridfsName& name) {
  Bson filter;
  if (name.id.empty()) {
    filter.str("filename", name.filename);
    return filter;
  }
  if (!bson_oid_is_valid(name.id.c_str(), name.id.size()))
    return std::move(filter.str("_id", name.id));
  bson_oid_t oid;
  bson_oid_init_from_string(&oid, name.id.c_str());
  Bson either;
  either.oid("0", oid).str("1", name.id);
  Bson in;
  in.array("$in", either);
  filter.doc("_id", in);
  return filter;
}

class MongodbGridfsFile final : public GridfsFile {
 public:
  MongodbGridfsFile(const GridfsName& name, const StoreOptions& options, CancelToken cancel)
      : clients_(parse_target(name.uri, options), options),
        chunks_(name.bucket + ".chunks"),
        what_("the file " + (name.id.empty() ? "'" + name.filename + "'" : "with _id " + name.id)),
        where_(" in the GridFS bucket '" + name.bucket + "' of " + clients_.target().display),
        cancel_(std::move(cancel)) {
    find(name.bucket + ".files", filter_of(name));
    check_count();
  }

  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t pos, void* dst, std::size_t n) override;

 private:
  void find(const std::string& files, const Bson& filter);
  void check_count();
  void load(std::uint64_t first);
  void take(const View& chunk, std::uint64_t expected);
  std::uint64_t chunk_count() const { return (size_ + chunk_size_ - 1) / chunk_size_; }
  Error damaged(const std::string& what) const {
    return {Status::corrupt, what_ + where_ + " " + what + "; write it there again"};
  }

  Clients clients_;
  const std::string chunks_;
  const std::string what_;
  const std::string where_;
  const CancelToken cancel_;
  std::uint64_t size_ = 0;
  std::uint64_t chunk_size_ = 1;
  Bson of_file_;  // {files_id: ...}, whatever type that is of
  // The part that was read last, which begins with a chunk.
  std::uint64_t window_pos_ = 0;
  Bytes window_;
};

void MongodbGridfsFile::find(const std::string& files, const Bson& filter) {
  Bson sort;
  sort.i32("uploadDate", -1).i32("_id", -1);
  Find newest;
  newest.sort = &sort;
  newest.limit = 1;
  bool any = false;
  const std::optional<Bson> file = clients_.run(cancel_, [&](Session& session) {
    std::optional<Bson> found;
    session.find(files.c_str(), filter, newest, [&found](const View& row) { found.emplace(row); });
    any = found || session.find_one(files.c_str(), Bson());
    return found;
  });
  if (!file) {
    const std::string seen = any ? "there is no such file: " : "there are no files at all: ";
    throw Error(Status::not_found, seen + what_ + " was looked for" + where_ +
                                       "; check the name, the bucket and the database");
  }
  const auto length = number(file->view(), "length");
  const auto chunk_size = number(file->view(), "chunkSize");
  if (!length || !chunk_size || *chunk_size == 0 || *chunk_size > kMaxChunkSize ||
      *length > INT32_MAX * *chunk_size) {
    throw damaged("has no usable length or chunkSize");
  }
  size_ = *length;
  chunk_size_ = *chunk_size;
  bson_iter_t id;
  if (!bson_iter_init_find(&id, file->get(), "_id")) throw damaged("has no _id");
  of_file_.value("files_id", *bson_iter_value(&id));
}

// Which one is missing is told when it is read; one too many would not be.
void MongodbGridfsFile::check_count() {
  const std::uint64_t stored = clients_.run(
      cancel_, [this](Session& session) { return session.count(chunks_.c_str(), of_file_); });
  if (size_ == 0 || stored <= chunk_count()) return;
  throw damaged("has " + std::to_string(stored) + " chunks, and its " + std::to_string(size_) +
                " bytes fill " + std::to_string(chunk_count()));
}

void MongodbGridfsFile::take(const View& chunk, std::uint64_t expected) {
  const auto n = number(chunk, "n");
  const auto data = binary(chunk, "data");
  if (!n || !data) throw damaged("has a chunk without a number or without bytes");
  if (*n < expected) throw damaged("has chunk " + std::to_string(*n) + " twice");
  if (*n > expected) throw damaged("lacks chunk " + std::to_string(expected));
  const std::uint64_t wanted = std::min(chunk_size_, size_ - expected * chunk_size_);
  if (data->size() != wanted) {
    throw damaged("has " + std::to_string(data->size()) + " bytes in chunk " + std::to_string(*n) +
                  " instead of " + std::to_string(wanted));
  }
  window_.insert(window_.end(), data->begin(), data->end());
}

void MongodbGridfsFile::load(std::uint64_t first) {
  const std::uint64_t count =
      std::clamp<std::uint64_t>(kWindow / chunk_size_, 1, kMaxChunksPerWindow);
  const std::uint64_t last = std::min(chunk_count(), first + count);
  Bson range;
  range.i64("$gte", first).i64("$lt", last);
  Bson filter(of_file_.view());
  filter.doc("n", range);
  Bson sort;
  sort.i32("n", 1);
  Bson projection;
  projection.i32("_id", 0).i32("n", 1).i32("data", 1);
  Find wanted;
  wanted.sort = &sort;
  wanted.projection = &projection;
  wanted.limit = last - first + 1;  // a duplicate shows
  std::uint64_t next = first;
  clients_.run(cancel_, [&](Session& session) {
    window_.clear();
    next = first;
    session.find(chunks_.c_str(), filter, wanted, [&](const View& chunk) { take(chunk, next++); });
  });
  if (next < last) throw damaged("lacks chunk " + std::to_string(next));
  window_pos_ = first * chunk_size_;
}

void MongodbGridfsFile::read(std::uint64_t pos, void* dst, std::size_t n) {
  if (n > size_ || pos > size_ - n) {
    throw Error(Status::internal, "a read past the end of a GridFS file was asked for");
  }
  auto* out = static_cast<std::uint8_t*>(dst);
  while (n > 0) {
    if (pos < window_pos_ || pos - window_pos_ >= window_.size()) load(pos / chunk_size_);
    const std::uint64_t offset = pos - window_pos_;
    const std::size_t part = std::min<std::uint64_t>(n, window_.size() - offset);
    std::memcpy(out, window_.data() + offset, part);
    out += part;
    pos += part;
    n -= part;
  }
}

}  // namespace
}  // namespace mongodb

std::unique_ptr<GridfsFile> open_gridfs_file(const GridfsName& name, const StoreOptions& options,
                                             const CancelToken& cancel) {
  if (name.filename.empty() == name.id.empty()) {
    throw Error(Status::invalid_argument,
                "a file in GridFS is named by its file name or by its _id, by one of them");
  }
  mongodb::check_bucket(name.bucket);
  return std::make_unique<mongodb::MongodbGridfsFile>(name, options, cancel);
}

}  // namespace ptsecure
