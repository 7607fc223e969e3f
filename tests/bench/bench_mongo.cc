// The floor of what MongoDB allows: bytes moved by libmongoc alone, nothing decrypted or checked.
//
//   bench_mongo download URI DATABASE BUCKET FILENAME   two range cursors, into one buffer
//   bench_mongo upload URI DATABASE BUCKET FILE         libmongoc's GridFS, chunks of 1 MiB
#include <fcntl.h>
#include <mongoc/mongoc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/measure.hpp"

namespace {

using Arguments = std::vector<std::string>;

constexpr std::int64_t kChunk = 1 << 20;

template <auto Destroy>
struct Destroyer {
  template <typename T>
  void operator()(T* object) const {
    Destroy(object);
  }
};
template <typename T, auto Destroy>
using Owned = std::unique_ptr<T, Destroyer<Destroy>>;
using Client = Owned<mongoc_client_t, mongoc_client_destroy>;
using Collection = Owned<mongoc_collection_t, mongoc_collection_destroy>;
using Cursor = Owned<mongoc_cursor_t, mongoc_cursor_destroy>;
// No unique_ptr: bson_t is over-aligned, which a template argument can't say.
class Document {
 public:
  explicit Document(bson_t* document) : document_(document) {}
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  ~Document() { bson_destroy(document_); }
  bson_t* get() const { return document_; }

 private:
  bson_t* document_;
};

Client connect(const std::string& uri) {
  Client client(mongoc_client_new(uri.c_str()));
  if (!client) throw std::runtime_error("libmongoc refuses " + uri);
  return client;
}

void check(bool good, const bson_error_t& error) {
  if (!good) throw std::runtime_error(error.message);
}

Cursor find(mongoc_collection_t* collection, const Document& filter, const Document& options) {
  return Cursor(mongoc_collection_find_with_opts(collection, filter.get(), options.get(), nullptr));
}

struct File {
  bson_value_t id{};
  std::int64_t length = 0;
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { bson_value_destroy(&id); }
};

void find_file(mongoc_client_t* client, const Arguments& a, File& file) {
  const Collection files(
      mongoc_client_get_collection(client, a.at(1).c_str(), (a.at(2) + ".files").c_str()));
  const Document filter(BCON_NEW("filename", a.at(3).c_str()));
  const Cursor cursor = find(files.get(), filter, Document(bson_new()));
  const bson_t* document = nullptr;
  if (!mongoc_cursor_next(cursor.get(), &document)) throw std::runtime_error("no file " + a.at(3));
  bson_iter_t it;
  if (bson_iter_init_find(&it, document, "_id")) bson_value_copy(bson_iter_value(&it), &file.id);
  if (bson_iter_init_find(&it, document, "length")) file.length = bson_iter_as_int64(&it);
}

// Copies chunks [first, last) into `out`.
void copy_range(const Arguments& a, const bson_value_t& id, std::int64_t first, std::int64_t last,
                char* out) {
  const Client client = connect(a.at(0));
  const Collection chunks(
      mongoc_client_get_collection(client.get(), a.at(1).c_str(), (a.at(2) + ".chunks").c_str()));
  const Document filter(bson_new());
  bson_append_value(filter.get(), "files_id", -1, &id);
  const Document range(BCON_NEW("$gte", BCON_INT64(first), "$lt", BCON_INT64(last)));
  bson_append_document(filter.get(), "n", -1, range.get());
  const Cursor cursor =
      find(chunks.get(), filter, Document(BCON_NEW("sort", "{", "n", BCON_INT32(1), "}")));
  const bson_t* document = nullptr;
  while (mongoc_cursor_next(cursor.get(), &document)) {
    bson_iter_t it;
    if (!bson_iter_init_find(&it, document, "n")) continue;
    const std::int64_t n = bson_iter_as_int64(&it);
    std::uint32_t size = 0;
    const std::uint8_t* data = nullptr;
    if (!bson_iter_init_find(&it, document, "data")) continue;
    bson_iter_binary(&it, nullptr, &size, &data);
    std::memcpy(out + n * kChunk, data, size);
  }
  bson_error_t error;
  check(!mongoc_cursor_error(cursor.get(), &error), error);
}

nlohmann::json download(const Arguments& a) {
  const bench::Measurement measured;
  File file;
  find_file(connect(a.at(0)).get(), a, file);
  const auto size = static_cast<std::size_t>(file.length);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  madvise(memory, size, MADV_HUGEPAGE);
  auto* out = static_cast<char*>(memory);
  const std::int64_t chunks = (file.length + kChunk - 1) / kChunk;
  std::exception_ptr failure;
  std::thread second([&] {
    try {
      copy_range(a, file.id, chunks / 2, chunks, out);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  copy_range(a, file.id, 0, chunks / 2, out);
  second.join();
  if (failure) std::rethrow_exception(failure);
  return {{"seconds", measured.seconds()}, {"cpu_seconds", measured.cpu()}};
}

nlohmann::json upload(const Arguments& a) {
  const bench::Measurement measured;
  const Client client = connect(a.at(0));
  const Owned<mongoc_database_t, mongoc_database_destroy> database(
      mongoc_client_get_database(client.get(), a.at(1).c_str()));
  const Document options(
      BCON_NEW("bucketName", a.at(2).c_str(), "chunkSizeBytes", BCON_INT32(kChunk)));
  bson_error_t error;
  const Owned<mongoc_gridfs_bucket_t, mongoc_gridfs_bucket_destroy> bucket(
      mongoc_gridfs_bucket_new(database.get(), options.get(), nullptr, &error));
  if (!bucket) throw std::runtime_error(error.message);
  const Owned<mongoc_stream_t, mongoc_stream_destroy> source(
      mongoc_stream_file_new_for_path(a.at(3).c_str(), O_RDONLY, 0));
  if (!source) throw std::runtime_error("can't read " + a.at(3));
  bson_value_t id{};
  check(mongoc_gridfs_bucket_upload_from_stream(bucket.get(), "raw", source.get(), nullptr, &id,
                                                &error),
        error);
  bson_value_destroy(&id);
  return {{"seconds", measured.seconds()}, {"cpu_seconds", measured.cpu()}};
}

}  // namespace

int main(int argc, char** argv) {
  try {
    mongoc_init();
    const Arguments all(argv + 1, argv + argc);
    const Arguments rest(all.begin() + 1, all.end());
    std::cout << (all.at(0) == "download" ? download(rest) : upload(rest)) << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_mongo: " << error.what() << '\n';
    return 1;
  }
}
