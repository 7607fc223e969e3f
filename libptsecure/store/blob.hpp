#pragma once

#include <cstdint>
#include <functional>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/cancel.hpp"
#include "libptsecure/crypto/segment.hpp"

namespace ptsecure {

// Stored bytes, kept and moved in segments (crypto/segment.hpp).

// Writes one new blob. Destroyed without finish(), it leaves nothing that a reader could open.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;

  // Takes segment `index`. Segments come in any order, from several threads at once, each exactly
  // once. `segment` is only read during the call.
  virtual void write(std::uint64_t index, ByteView segment) = 0;

  // Returns once all segments, `size` bytes together, are durable.
  virtual void finish() = 0;
};

// Reads one blob. Thread-safe.
class BlobReader {
 public:
  // Called with the segment's index and its bytes: a private copy nobody else can change, valid
  // during the call. An exception from it ends the read and is passed on.
  using Sink = std::function<void(std::uint64_t index, ByteView segment)>;

  virtual ~BlobReader() = default;

  // The size the store claims; nothing is authenticated here.
  virtual std::uint64_t size() const = 0;

  // Hands the segments [first, last) to the sink in ascending order, on the calling thread. A
  // missing, duplicate or resized segment is Status::corrupt. Callers use several ranges from
  // several threads for speed; a store makes long ranges cheap (one cursor, read-ahead).
  virtual void read(std::uint64_t first, std::uint64_t last, const Sink& sink,
                    const CancelToken& cancel) = 0;

  // How many segments one call of read() should cover for good throughput.
  virtual std::uint64_t preferred_run() const = 0;
};

}  // namespace ptsecure
