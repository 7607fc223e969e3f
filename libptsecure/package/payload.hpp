#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/cancel.hpp"
#include "libptsecure/base/thread_pool.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/engine/byte_source.hpp"
#include "libptsecure/package/manifest.hpp"
#include "libptsecure/store/blob.hpp"

namespace ptsecure {

// done and total count plaintext bytes. Called on the thread that began the operation, at most
// about 20 times a second, and at the end. An exception from it ends the operation.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Where a model to be published is read from: each byte once.
class PlainInput {
 public:
  virtual ~PlainInput() = default;
  // A use begins, which `cancel` may end. Called before anything else is.
  virtual void begin(const CancelToken& cancel) { static_cast<void>(cancel); }
  virtual std::uint64_t size() const = 0;
  // Fills dst completely with bytes [pos, pos + n) or throws. Thread-safe if concurrent() says so.
  virtual void read(std::uint64_t pos, void* dst, std::size_t n) = 0;
  virtual bool concurrent() const = 0;
  // Throws Status::conflict when what was read may have changed since the beginning.
  virtual void check_unchanged() = 0;
  // Whether it lies where more than its reader's own machine decides who writes: then it says
  // nothing about who made it.
  virtual bool others_may_write() const { return false; }
};

// A regular file (its size, mtime and inode must stay the same), bytes in memory (borrowed), or a
// callback `read(pos, dst, n)` that is called from one thread at a time unless it is concurrent.
std::unique_ptr<PlainInput> file_input(const std::string& path);
std::unique_ptr<PlainInput> memory_input(ByteView bytes);
std::unique_ptr<PlainInput> callback_input(
    std::uint64_t size, std::function<void(std::uint64_t, void*, std::size_t)> read,
    bool concurrent = false);

// A PlainInput as the engine's byte source (for inspecting before sealing); finish() reads what was
// deferred. Holds a reference to `input`.
std::unique_ptr<ByteSource> plain_source(PlainInput& input, ThreadPool& pool);

// Encrypts `input` segment by segment on all threads of the pool into `writer` and returns the
// concatenated digests of the stored segments. Memory: about two segments per thread. Every
// plaintext byte is read once and every segment encrypted once. Calls writer.finish().
Bytes seal_payload(PlainInput& input, ByteView dek, std::string_view associated_data,
                   BlobWriter& writer, ThreadPool& pool, const Progress& progress,
                   const CancelToken& cancel);

enum class VerifyLevel { signed_, aead };

struct OpenPayload {
  const PayloadEntry* entry = nullptr;  // from a verified manifest
  std::shared_ptr<BlobReader> blob;
  Bytes digests;  // checked against the entry in open_payload
  VerifyLevel level = VerifyLevel::signed_;
  Progress progress;
  CancelToken cancel;
  std::thread::id caller = std::this_thread::get_id();  // where progress is told
};

// The sealed payload as the engine's byte source: fetch, verify and decrypt as one stream. Checks
// at once: the DEK against its commitment (else Status::corrupt), sizes, the digests' own digest.
// Not usable from two threads at once; `pool` must outlive it.
class SealedSource : public ByteSource {
 public:
  ~SealedSource() override = default;
  // Hands the whole plaintext in order to `sink`, authenticated segment by segment (a segment is
  // handed out only after its own digest and tag hold), with bounded memory.
  virtual void stream(const std::function<void(std::uint64_t pos, ByteView plain)>& sink) = 0;
  // Authenticates every segment and keeps nothing.
  virtual void verify() = 0;
};
std::unique_ptr<SealedSource> open_payload(OpenPayload payload, ByteView dek, ThreadPool& pool);

// Hands the stored segments to `sink` in order, on the calling thread, each once its signed digest
// holds. Needs no DEK. Throws Error(Status::corrupt), and what the sink throws.
void read_stored_segments(const PayloadEntry& entry, BlobReader& blob, ByteView digests,
                          const std::function<void(std::uint64_t index, ByteView segment)>& sink,
                          const CancelToken& cancel);

// For those who hold no DEK: compares every stored segment with the signed digests.
void verify_stored_segments(const PayloadEntry& entry, BlobReader& blob, ByteView digests,
                            ThreadPool& pool, const Progress& progress, const CancelToken& cancel);

}  // namespace ptsecure
