#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "libptsecure/crypto/segment_aead.hpp"

namespace ptsecure {

// A part of one segment's plaintext and where it belongs.
struct Destination {
  std::size_t offset;
  std::size_t size;
  std::uint8_t* out;
};

// How one segment is decrypted so that all destinations are filled: pieces for the opener, then
// copies, in this order, for what belongs in several places.
struct DecryptionPlan {
  struct Copy {
    std::uint8_t* to;
    const std::uint8_t* from;
    std::size_t size;
  };

  // Sorts `destinations`, which lie within the segment.
  DecryptionPlan(std::vector<Destination>& destinations, std::size_t segment_size) {
    std::stable_sort(
        destinations.begin(), destinations.end(),
        [](const Destination& a, const Destination& b) { return a.offset < b.offset; });
    std::size_t filled = 0;
    const Destination* reaching = nullptr;  // the one that ends at `filled`
    for (const Destination& to : destinations) {
      if (to.offset > filled) {
        pieces.push_back({nullptr, to.offset - filled});
        filled = to.offset;
      }
      const std::size_t overlap = std::min(filled - to.offset, to.size);
      if (overlap != 0) {
        copies.push_back({to.out, reaching->out + (to.offset - reaching->offset), overlap});
      }
      if (overlap == to.size) continue;
      pieces.push_back({to.out + overlap, to.size - overlap});
      filled = to.offset + to.size;
      kept += to.size - overlap;
      reaching = &to;
    }
    if (filled < segment_size) pieces.push_back({nullptr, segment_size - filled});
  }

  void copy() const {
    for (const Copy& copy : copies) std::memmove(copy.to, copy.from, copy.size);
  }

  std::vector<SegmentOpener::Piece> pieces;
  std::vector<Copy> copies;
  std::size_t kept = 0;  // bytes of the segment that have a destination
};

}  // namespace ptsecure
