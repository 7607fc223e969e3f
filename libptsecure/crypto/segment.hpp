#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ptsecure {

// Stored bytes are sealed, signed, kept and moved in segments: segment i is the stored bytes
// [i * 2^20, (i + 1) * 2^20), the last one is shorter.
inline constexpr std::size_t kSegmentSize = std::size_t{1} << 20;

constexpr std::uint64_t stored_segments(std::uint64_t stored_size) {
  return stored_size / kSegmentSize + (stored_size % kSegmentSize != 0 ? 1 : 0);
}

// Of segment `index`, which must be there.
constexpr std::size_t stored_segment_size(std::uint64_t stored_size, std::uint64_t index) {
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(kSegmentSize, stored_size - index * kSegmentSize));
}

}  // namespace ptsecure
