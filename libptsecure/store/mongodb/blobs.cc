#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>

#include "libptsecure/store/component.hpp"
#include "libptsecure/store/mongodb/store.hpp"

// A blob is a standard GridFS file whose _id and file name are "name/version/role": a second one
// can't exist, and any MongoDB driver reads it.
namespace ptsecure::mongodb {
namespace {

// Segments per reply. Each costs the server most of a millisecond of processor time, however long
// it is; and libmongoc receives it into one buffer and copies it into another, each of the next
// power of two MiB, in every thread that reads. So a few threads that read from one store get long
// replies and many get short ones, but not from a server far away: there about a segment per
// millisecond.
constexpr std::uint64_t kMinReply = 2;
constexpr std::uint64_t kMaxReply = 7;
constexpr std::uint64_t kInFlight = 2 * kMaxReply;
constexpr std::uint64_t kPreferredRun = 32;
constexpr std::chrono::minutes kLeaseInterval{5};
constexpr std::uint64_t kDeleteBatch = 1000;

std::string blob_key(const std::string& name, std::uint64_t version, const std::string& role) {
  return numbered_id(name, version) + "/" + role;
}

class MongodbBlobWriter final : public BlobWriter {
 public:
  MongodbBlobWriter(std::shared_ptr<Clients> clients, const Reservation& reservation,
                    std::string role, std::uint64_t size, const CancelToken& cancel)
      : clients_(std::move(clients)),
        reservation_(reservation),
        role_(std::move(role)),
        id_(blob_key(reservation.name, reservation.version, role_)),
        size_(size),
        cancel_(cancel) {
    renew_lease(*clients_, reservation_, cancel_);
    remove_unfinished();
  }

  void write(std::uint64_t index, ByteView segment) override;
  void finish() override;

 private:
  void remove_unfinished();
  void keep_lease();
  void insert_chunk(const Bson& chunk, const bson_oid_t& id, std::uint64_t index);
  Error taken(const std::string& what) const {
    return {Status::conflict, what + " of " + id_ + " is in the database already; publish again"};
  }

  const std::shared_ptr<Clients> clients_;
  const Reservation reservation_;
  const std::string role_;
  const std::string id_;
  const std::uint64_t size_;
  const CancelToken cancel_;
  std::atomic<std::uint64_t> written_{0};
  std::mutex lease_mutex_;
  Clock::time_point lease_renewed_ = Clock::now();
};

// Chunks that an earlier writer of this reservation left behind; never those of a finished file.
void MongodbBlobWriter::remove_unfinished() {
  Bson chunks;
  chunks.str("files_id", id_);
  clients_->run(cancel_, [&](Session& session) {
    if (session.find_one(kFiles, by_id(id_))) throw taken("a file");
    session.remove(kChunks, chunks);
  });
}

void MongodbBlobWriter::keep_lease() {
  {
    const std::lock_guard lock(lease_mutex_);
    if (Clock::now() - lease_renewed_ < kLeaseInterval) return;
    lease_renewed_ = Clock::now();
  }
  renew_lease(*clients_, reservation_, cancel_);
}

// Acknowledged by the primary alone: finish() makes all of them durable at once and counts them.
void MongodbBlobWriter::insert_chunk(const Bson& chunk, const bson_oid_t& id, std::uint64_t index) {
  bool repeated = false;
  clients_->run(cancel_, [&](Session& session) {
    const bool first_try = !std::exchange(repeated, true);
    try {
      session.insert(kChunks, chunk, Durability::primary);
    } catch (const Failure& failure) {
      if (!failure.duplicate_key()) throw;
      // The answer to an earlier try may have been lost: then the chunk is there, under our _id.
      Bson ours;
      ours.oid("_id", id);
      if (first_try || session.count(kChunks, ours) != 1) {
        throw taken("segment " + std::to_string(index));
      }
    }
  });
}

void MongodbBlobWriter::write(std::uint64_t index, ByteView segment) {
  if (index >= stored_segments(size_) || segment.size() != stored_segment_size(size_, index)) {
    throw Error(Status::internal, "segment " + std::to_string(index) + " of " +
                                      std::to_string(segment.size()) + " bytes doesn't belong to " +
                                      id_ + " of " + std::to_string(size_) + " bytes");
  }
  keep_lease();
  bson_oid_t oid;
  bson_oid_init(&oid, nullptr);
  Bson chunk;
  chunk.oid("_id", oid).str("files_id", id_).i32("n", static_cast<std::int32_t>(index));
  chunk.binary("data", segment);
  insert_chunk(chunk, oid, index);
  written_.fetch_add(1);
}

void MongodbBlobWriter::finish() {
  if (written_ != stored_segments(size_)) {
    throw Error(Status::internal, std::to_string(written_.load()) + " of " +
                                      std::to_string(stored_segments(size_)) + " segments of " +
                                      id_ + " were written when it was to be finished");
  }
  // Waits for the journals of a majority, so for every chunk too, unless a new primary has never
  // seen some of them: the count tells.
  renew_lease(*clients_, reservation_, cancel_);
  Bson chunks;
  chunks.str("files_id", id_);
  const std::uint64_t stored =
      clients_->run(cancel_, [&](Session& session) { return session.count(kChunks, chunks); });
  if (stored != stored_segments(size_)) {
    throw Error(Status::unavailable, "the database holds " + std::to_string(stored) + " of the " +
                                         std::to_string(stored_segments(size_)) + " segments of " +
                                         id_ +
                                         ": a change of the primary lost some; publish again");
  }
  Bson metadata;
  metadata.str("name", reservation_.name)
      .i64("version", reservation_.version)
      .str("role", role_)
      .str("token", reservation_.token);
  Bson place = by_id(id_);
  place.i64("length", size_).i32("chunkSize", kSegmentSize).str("filename", id_);
  place.doc("metadata", metadata);
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  Bson fields;
  fields.date("uploadDate", now.count());
  clients_->run(cancel_, [&](Session& session) {
    if (!put_once(session, kFiles, place, fields)) throw taken("a file");
  });
}

// --- reading
// --------------------------------------------------------------------------------------

struct Chunk {
  std::uint64_t n = 0;
  ByteView data;
};

class Counted {
 public:
  explicit Counted(std::atomic<unsigned>& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  std::atomic<unsigned>& count_;
};

// glibc gives libmongoc's buffers back to the kernel after each reply, which has to clear their
// pages anew for the next, unless it has seen larger memory freed ("dynamic mmap threshold" in
// mallopt(3)): that it sees here, once. From then on each of the process's heaps keeps free memory
// of up to twice that size at its end. Where the host has set the thresholds itself, nothing
// changes.
void keep_reply_buffers() {
  [[maybe_unused]] static const bool seen = [] {
    void* volatile memory = std::malloc(std::size_t{16} << 20);
    std::free(memory);
    return true;
  }();
}

class MongodbBlobReader final : public BlobReader {
 public:
  MongodbBlobReader(std::shared_ptr<Clients> clients, std::string id, std::uint64_t size)
      : clients_(std::move(clients)), id_(std::move(id)), size_(size) {
    const mongoc_read_prefs_t* prefs = mongoc_uri_get_read_prefs_t(clients_->target().uri.get());
    primary_only_ = !prefs || mongoc_read_prefs_get_mode(prefs) == MONGOC_READ_PRIMARY;
    keep_reply_buffers();
  }

  std::uint64_t size() const override { return size_; }
  std::uint64_t preferred_run() const override { return kPreferredRun; }
  void read(std::uint64_t first, std::uint64_t last, const Sink& sink,
            const CancelToken& cancel) override;

 private:
  Bson fetch(std::uint64_t first, std::uint64_t last, bool primary_only,
             const CancelToken& cancel) const;
  std::vector<Chunk> chunks_of(const Bson& reply) const;
  std::string problem(const std::vector<Chunk>& chunks, std::uint64_t first,
                      std::uint64_t last) const;
  std::uint64_t segments_per_reply() const {
    const std::uint64_t shared = kInFlight / clients_->blob_readers();  // the caller is one
    return std::min(kMaxReply, std::max(shared, kMinReply + clients_->round_trip_ms()));
  }
  Error damaged(const std::string& what) const {
    return {Status::corrupt,
            what + " in the database; restore it from a backup, or publish the model again"};
  }

  const std::shared_ptr<Clients> clients_;
  const std::string id_;
  const std::uint64_t size_;
  bool primary_only_ = true;
};

// One reply with the segments [first, last), and one more document if there is any: in the range a
// duplicate, behind the end of the file one too many.
Bson MongodbBlobReader::fetch(std::uint64_t first, std::uint64_t last, bool primary_only,
                              const CancelToken& cancel) const {
  Bson range;
  range.i64("$gte", first);
  if (last < stored_segments(size_)) range.i64("$lt", last);
  Bson filter;
  filter.str("files_id", id_).doc("n", range);
  Bson sort;
  sort.i32("n", 1);
  Bson command;
  command.str("find", kChunks)
      .doc("filter", filter)
      .doc("sort", sort)
      .i64("limit", last - first + 1)
      .i64("batchSize", last - first + 1)
      .boolean("singleBatch", true)
      .i64("maxTimeMS", static_cast<std::uint64_t>(clients_->target().operation_timeout.count()));
  return clients_->run(cancel,
                       [&](Session& session) { return session.read(command, primary_only); });
}

std::vector<Chunk> MongodbBlobReader::chunks_of(const Bson& reply) const {
  std::vector<Chunk> chunks;
  bson_iter_t batch;
  bson_iter_t it;
  if (!bson_iter_init(&it, reply.get()) ||
      !bson_iter_find_descendant(&it, "cursor.firstBatch", &batch) ||
      !bson_iter_recurse(&batch, &it)) {
    throw Error(Status::io,
                "MongoDB answered a query for segments of " + id_ + " with no segments");
  }
  while (bson_iter_next(&it)) {
    bson_iter_t field;
    Chunk chunk;
    bool numbered = false;
    bool filled = false;
    if (!BSON_ITER_HOLDS_DOCUMENT(&it) || !bson_iter_recurse(&it, &field)) break;
    while (bson_iter_next(&field)) {
      const std::string_view key = bson_iter_key(&field);
      if (key == "n") {
        const auto n = integer_at(field);
        numbered = n.has_value();
        chunk.n = n.value_or(0);
      } else if (key == "data" && BSON_ITER_HOLDS_BINARY(&field)) {
        std::uint32_t size = 0;
        const std::uint8_t* data = nullptr;
        bson_iter_binary(&field, nullptr, &size, &data);
        chunk.data = {data, size};
        filled = true;
      }
    }
    if (!numbered || !filled) throw damaged("a segment of " + id_ + " has no number or no bytes");
    chunks.push_back(chunk);
  }
  return chunks;
}

// What is wrong with the chunks as the segments [first, ...) of [first, last); empty when nothing
// is. A reply holds less than the range where documents are too large for it.
std::string MongodbBlobReader::problem(const std::vector<Chunk>& chunks, std::uint64_t first,
                                       std::uint64_t last) const {
  std::uint64_t expected = first;
  for (const Chunk& chunk : chunks) {
    const std::string segment = "segment " + std::to_string(chunk.n) + " of " + id_;
    if (chunk.n < expected) return segment + " is there twice";
    if (chunk.n >= stored_segments(size_) && expected == last) {
      return segment + " is behind the end of the file, which has " +
             std::to_string(stored_segments(size_)) + " segments,";
    }
    if (chunk.n > expected) break;
    const std::size_t wanted = stored_segment_size(size_, chunk.n);
    if (chunk.data.size() != wanted) {
      return segment + " has " + std::to_string(chunk.data.size()) + " bytes instead of " +
             std::to_string(wanted);
    }
    ++expected;
  }
  if (expected == last || (expected > first && expected - first == chunks.size())) return {};
  return "segment " + std::to_string(expected) + " of " + id_ + " is missing";
}

void MongodbBlobReader::read(std::uint64_t first, std::uint64_t last, const Sink& sink,
                             const CancelToken& cancel) {
  if (first > last || last > stored_segments(size_)) {
    throw Error(Status::invalid_argument,
                "a range of segments behind the end of " + id_ + " was asked for");
  }
  const Counted reading(clients_->blob_readers());
  while (first < last) {
    const std::uint64_t end = std::min(last, first + segments_per_reply());
    Bson reply = fetch(first, end, primary_only_, cancel);
    std::vector<Chunk> chunks = chunks_of(reply);
    std::string what = problem(chunks, first, end);
    if (!what.empty() && !primary_only_) {  // a secondary may be behind
      reply = fetch(first, end, true, cancel);
      chunks = chunks_of(reply);
      what = problem(chunks, first, end);
    }
    if (!what.empty()) throw damaged(what);
    for (const Chunk& chunk : chunks) {
      cancel.check();
      sink(chunk.n, chunk.data);
    }
    first += chunks.size();
  }
}

}  // namespace

std::unique_ptr<BlobWriter> make_blob_writer(std::shared_ptr<Clients> clients,
                                             const Reservation& reservation,
                                             const std::string& role, std::uint64_t size,
                                             const CancelToken& cancel) {
  return std::make_unique<MongodbBlobWriter>(std::move(clients), reservation, role, size, cancel);
}

std::unique_ptr<BlobReader> make_blob_reader(std::shared_ptr<Clients> clients, const BlobId& id,
                                             const CancelToken& cancel) {
  const std::string key = blob_key(id.name, id.version, id.role);
  const auto file =
      clients->run(cancel, [&](Session& session) { return session.find_one(kFiles, by_id(key)); });
  if (!file) {
    Bson version = by_id(numbered_id(id.name, id.version));
    version.str("state", "committed");
    if (clients->run(cancel, [&](Session& session) { return session.count(kVersions, version); })) {
      throw Error(Status::corrupt, "the file " + key +
                                       " of a published version is missing in the database; "
                                       "restore it from a backup");
    }
    throw Error(Status::not_found, "the database holds no complete file " + key);
  }
  const auto length = file->view().integer("length");
  const auto chunk_size = file->view().integer("chunkSize");
  if (!length || !chunk_size || *chunk_size != kSegmentSize ||
      stored_segments(*length) > INT32_MAX) {
    throw Error(Status::corrupt, "the file " + key +
                                     " in the database has no usable length, or its chunk size is "
                                     "not 1 MiB; restore it from a backup");
  }
  return std::make_unique<MongodbBlobReader>(std::move(clients), key, *length);
}

namespace {

Bson blobs_of(const std::string& name, std::uint64_t version) {
  const std::string key = numbered_id(name, version);
  Bson range;
  range.str("$gte", key + "/").str("$lt", key + "0");  // '0' follows '/'
  return range;
}

struct LastChunk {
  std::string files_id;
  std::uint64_t n = 0;
  std::uint64_t found = 0;
};

// The last of the next chunks in the index, which alone is read.
LastChunk next_chunks(Session& session, const Bson& filter) {
  Bson sort;
  sort.i32("files_id", 1).i32("n", 1);
  Bson projection;
  projection.i32("_id", 0).i32("files_id", 1).i32("n", 1);
  Find wanted;
  wanted.sort = &sort;
  wanted.projection = &projection;
  wanted.limit = kDeleteBatch;
  LastChunk last;
  session.find(kChunks, filter, wanted, [&last](const View& document) {
    last.files_id = document.str("files_id").value_or("");
    last.n = document.integer("n").value_or(0);
    ++last.found;
  });
  return last;
}

}  // namespace

void remove_blobs(Clients& clients, const std::string& name, std::uint64_t version,
                  const CancelToken& cancel) {
  Bson files;
  files.doc("_id", blobs_of(name, version));
  clients.run(cancel, [&](Session& session) { session.remove(kFiles, files); });
  Bson chunks;
  chunks.doc("files_id", blobs_of(name, version));
  // In batches: one delete of a large model could outlast the time limit of a round trip.
  while (clients.run(cancel, [&](Session& session) {
    const LastChunk last = next_chunks(session, chunks);
    if (last.found < kDeleteBatch) {
      session.remove(kChunks, chunks);
      return false;
    }
    Bson n;
    n.i64("$lte", last.n);
    Bson batch;
    batch.str("files_id", last.files_id).doc("n", n);
    session.remove(kChunks, batch);
    return true;
  })) {
    cancel.check();
  }
}

std::unique_ptr<BlobWriter> MongodbStore::write_blob(const Reservation& reservation,
                                                     const std::string& role, std::uint64_t size,
                                                     const CancelToken& cancel) {
  check_component(reservation.name, "model name");
  check_number(reservation.version, "a version");
  check_component(role, "blob role");
  if (stored_segments(size) > INT32_MAX) {
    throw Error(Status::limit_exceeded, "a blob of " + std::to_string(size) +
                                            " bytes has more chunks than GridFS can number");
  }
  require(cancel);
  return make_blob_writer(clients_, reservation, role, size, cancel);
}

std::unique_ptr<BlobReader> MongodbStore::read_blob(const BlobId& id, const CancelToken& cancel) {
  check_component(id.name, "model name");
  check_number(id.version, "a version");
  check_component(id.role, "blob role");
  require(cancel);
  return make_blob_reader(clients_, id, cancel);
}

}  // namespace ptsecure::mongodb
