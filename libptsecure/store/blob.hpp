#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/cancel.hpp"

namespace ptsecure {

// Stored bytes are kept and moved in blocks of this size; block i holds [i * 2^20, (i + 1) * 2^20),
// the last one is shorter. It is one AEAD segment and one GridFS chunk.
inline constexpr std::size_t kBlockSize = std::size_t{1} << 20;

inline constexpr std::uint64_t block_count(std::uint64_t size) {
  return size / kBlockSize + (size % kBlockSize != 0 ? 1 : 0);
}

// Writes one new blob. Destroyed without finish(), it leaves nothing that a reader could open.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;

  // Takes block `index`. Blocks come in any order, from several threads at once, each exactly once.
  // `block` is only read during the call.
  virtual void write(std::uint64_t index, ByteView block) = 0;

  // Returns once all blocks, `size` bytes together, are durable.
  virtual void finish() = 0;
};

// Reads one blob. Thread-safe.
class BlobReader {
 public:
  // Called with the block's index and its bytes: a private copy nobody else can change, valid
  // during the call. An exception from it ends the read and is passed on.
  using Sink = std::function<void(std::uint64_t index, ByteView block)>;

  virtual ~BlobReader() = default;

  // The size the store claims; nothing is authenticated here.
  virtual std::uint64_t size() const = 0;

  // Hands the blocks [first, last) to the sink in ascending order, on the calling thread. A
  // missing, duplicate or resized block is Status::corrupt. Callers use several ranges from several
  // threads for speed; a store makes long ranges cheap (one cursor, read-ahead).
  virtual void read(std::uint64_t first, std::uint64_t last, const Sink& sink,
                    const CancelToken& cancel) = 0;

  // How many blocks one call of read() should cover for good throughput.
  virtual std::uint64_t preferred_run() const = 0;
};

}  // namespace ptsecure
