#include "libptsecure/crypto/segment_digest.hpp"

#include <algorithm>
#include <utility>

namespace ptsecure {
namespace {

// From where on setting up lanes for each thread costs less than they save.
constexpr std::uint64_t kManySegments = 8;

static_assert(kDigestPieceSize <= Sha256Lanes::kLargestMessage);

Sha256Digest of_pieces(const std::vector<Sha256Digest>& pieces) {
  return sha256(ByteView(pieces.front().data(), pieces.size() * pieces.front().size()));
}

}  // namespace

SegmentDigester::SegmentDigester(std::uint64_t segments) : use_lanes_(segments >= kManySegments) {}

Sha256Digest SegmentDigester::operator()(ByteView segment) const {
  const std::size_t count =
      std::max<std::size_t>(1, (segment.size() + kDigestPieceSize - 1) / kDigestPieceSize);
  std::vector<Sha256Digest> pieces(count);
  if (std::unique_ptr<Sha256Lanes> lanes = segment.empty() ? nullptr : borrow()) {
    if (lanes->digest_pieces(segment, kDigestPieceSize, pieces)) {
      give_back(std::move(lanes));
      return of_pieces(pieces);
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = i * kDigestPieceSize;
    pieces[i] = sha256(segment.subspan(at, std::min(kDigestPieceSize, segment.size() - at)));
  }
  return of_pieces(pieces);
}

std::unique_ptr<Sha256Lanes> SegmentDigester::borrow() const {
  {
    const std::lock_guard lock(mutex_);
    if (!use_lanes_) return nullptr;
    if (!idle_.empty()) {
      auto lanes = std::move(idle_.back());
      idle_.pop_back();
      return lanes;
    }
  }
  auto lanes = Sha256Lanes::make();
  if (lanes == nullptr) {
    const std::lock_guard lock(mutex_);
    use_lanes_ = false;
  }
  return lanes;
}

void SegmentDigester::give_back(std::unique_ptr<Sha256Lanes> lanes) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(lanes));
}

}  // namespace ptsecure
