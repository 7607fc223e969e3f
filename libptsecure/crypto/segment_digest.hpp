#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/sha256_lanes.hpp"

namespace ptsecure {

inline constexpr std::size_t kDigestPieceSize = 32768;

// The digest of a segment: SHA-256 of the SHA-256 digests of its pieces of 32 KiB, the last one of
// which may be shorter, in order (docs/format.md). Pieces don't wait for one another, so one core
// can hash several at once. Thread-safe.
class SegmentDigester {
 public:
  // How many segments will come, so that few don't pay for what only many gain by.
  explicit SegmentDigester(std::uint64_t segments);

  Sha256Digest operator()(ByteView segment) const;

 private:
  std::unique_ptr<Sha256Lanes> borrow() const;
  void give_back(std::unique_ptr<Sha256Lanes> lanes) const;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Sha256Lanes>> idle_;
  mutable bool use_lanes_;
};

}  // namespace ptsecure
