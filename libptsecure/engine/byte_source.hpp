#pragma once

#include <cstddef>
#include <cstdint>

namespace ptsecure {

// The plaintext of one model, as an engine reads it. Header-only, because the engine plug-in sees
// the core through it alone. Whatever it hands out has been authenticated.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  virtual std::uint64_t size() const = 0;

  // Writes plaintext [pos, pos + n) to dst and returns once it is there and authenticated. Large
  // ranges are decrypted straight into dst by all threads of the pool. One caller at a time.
  virtual void read(std::uint64_t pos, void* dst, std::size_t n) = 0;

  // Notes that plaintext [pos, pos + n) belongs at dst and returns at once; it is written there by
  // finish() at the latest, possibly by a read() before. dst must stay allocated until finish() or
  // discard_deferred() returns. The same range may be noted for several destinations.
  virtual void defer(std::uint64_t pos, void* dst, std::size_t n) = 0;

  // Begins with what was noted so far, on other threads, and returns at once; reads may follow
  // meanwhile. Noting more, discarding and finishing pause it. A source may do nothing here.
  virtual void begin_deferred() {}

  // Forgets every noted destination: nothing will be written to them.
  virtual void discard_deferred() = 0;

  // Fills every noted destination and authenticates every segment that no read has touched, in any
  // order, on all threads. Only after it has returned may what was loaded be handed to anybody.
  // On failure the destinations hold no plaintext of a segment that failed. Reading, noting and
  // finishing again afterwards is allowed.
  virtual void finish() = 0;
};

}  // namespace ptsecure
