#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/package/plain_buffer.hpp"

namespace ptsecure {

// The plaintext of the few segments that small reads came for last. Not synchronised, but slots
// that were taken may be filled by different threads.
class SegmentCache {
 public:
  struct Slot {
    std::optional<std::uint64_t> index;  // set once the segment is there and authentic
    std::optional<PlainBuffer> plain;
    std::uint64_t used = 0;
  };

  // The segment's plaintext, or nullptr.
  const std::uint8_t* find(std::uint64_t index) noexcept {
    for (Slot& slot : slots_) {
      if (slot.index == index) {
        slot.used = ++clock_;
        return slot.plain->data();
      }
    }
    return nullptr;
  }

  // The slot that was not used for longest, emptied, with room for `size` bytes: small ones for
  // small models, whose time goes into pages touched for the first time.
  Slot& take(std::size_t size) {
    Slot* oldest = &slots_.front();
    for (Slot& slot : slots_) {
      if (slot.used < oldest->used) oldest = &slot;
    }
    oldest->index.reset();
    if (!oldest->plain || oldest->plain->size() < size) oldest->plain.emplace(size);
    oldest->used = ++clock_;
    return *oldest;
  }

  void clear() noexcept {
    for (Slot& slot : slots_) {
      slot.index.reset();
      slot.plain.reset();
    }
  }

 private:
  // Within the 64 MiB that an open may take beside the model, whatever the number of threads.
  static constexpr std::size_t kSlots = 16;
  std::array<Slot, kSlots> slots_;
  std::uint64_t clock_ = 0;
};

}  // namespace ptsecure
