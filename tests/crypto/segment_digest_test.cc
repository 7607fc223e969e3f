#include "libptsecure/crypto/segment_digest.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace ptsecure {
namespace {

Bytes message(std::size_t size) {
  Bytes out(size);
  std::uint32_t state = 1;
  for (std::uint8_t& byte : out)
    byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

// As docs/format.md has it.
Sha256Digest expected(ByteView segment) {
  Sha256 whole;
  for (; !segment.empty(); segment = segment.subspan(std::min(segment.size(), kDigestPieceSize))) {
    whole.update(sha256(segment.first(std::min(segment.size(), kDigestPieceSize))));
  }
  return whole.finish();
}

constexpr std::size_t kSizes[] = {1,     55,    56,     64,     32767,   32768,
                                  32769, 65536, 100000, 999999, 1048575, 1048576};

TEST(SegmentDigest, IsThatOfItsPieces) {
  for (const std::uint64_t segments : {1, 1000}) {
    const SegmentDigester digest(segments);
    for (const std::size_t size : kSizes) {
      const Bytes segment = message(size);
      EXPECT_EQ(digest(segment), expected(segment))
          << size << " bytes, " << segments << " segments";
    }
  }
}

TEST(SegmentDigest, ChangesWithEveryPiece) {
  Bytes segment = message(1048576);
  const SegmentDigester digest(1000);
  const Sha256Digest before = digest(segment);
  for (std::size_t at = 17; at < segment.size(); at += kDigestPieceSize) {
    segment[at] ^= 1;
    EXPECT_NE(digest(segment), before) << at;
    segment[at] ^= 1;
  }
  EXPECT_EQ(digest(segment), before);
}

TEST(SegmentDigest, FromManyThreads) {
  const SegmentDigester digest(1000);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 8; ++i) {
    threads.emplace_back([&digest, i] {
      const Bytes segment = message(100000 + i * 50000);
      const Sha256Digest wanted = expected(segment);
      for (int round = 0; round < 50; ++round) EXPECT_EQ(digest(segment), wanted);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

#if PTSECURE_WITH_IPSEC_MB
// So that a library that is installed and isn't found doesn't go unnoticed.
TEST(Sha256Lanes, AreThereWhereTheProcessorHasThem) {
  std::ifstream file("/proc/cpuinfo");
  const std::string cpu(std::istreambuf_iterator<char>(file), {});
  if (cpu.find(" avx2") == std::string::npos && cpu.find(" sha_ni") == std::string::npos) {
    GTEST_SKIP() << "this processor has neither AVX2 nor the SHA extensions";
  }
  EXPECT_NE(Sha256Lanes::make(), nullptr);
}

TEST(Sha256Lanes, MessagesOfAllSizes) {
  const auto lanes = Sha256Lanes::make();
  if (lanes == nullptr) GTEST_SKIP() << "see the test above";
  const Bytes bytes = message(Sha256Lanes::kLargestMessage * 2 + 1);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{63}, std::size_t{64},
                                  std::size_t{1000}, Sha256Lanes::kLargestMessage}) {
    const std::size_t size = std::min(bytes.size(), piece * 70 - piece / 2);
    const ByteView used = ByteView(bytes).first(size);
    std::vector<Sha256Digest> digests((size + piece - 1) / piece);
    ASSERT_TRUE(lanes->digest_pieces(used, piece, digests));
    for (std::size_t i = 0; i < digests.size(); ++i) {
      const ByteView one = used.subspan(i * piece, std::min(piece, size - i * piece));
      EXPECT_EQ(digests[i], sha256(one)) << i << " of " << piece;
    }
  }
}
#endif

}  // namespace
}  // namespace ptsecure
