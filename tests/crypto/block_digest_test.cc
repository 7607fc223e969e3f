#include "libptsecure/crypto/block_digest.hpp"

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
Sha256Digest expected(ByteView block) {
  Sha256 whole;
  for (; !block.empty(); block = block.subspan(std::min(block.size(), kDigestPieceSize))) {
    whole.update(sha256(block.first(std::min(block.size(), kDigestPieceSize))));
  }
  return whole.finish();
}

constexpr std::size_t kSizes[] = {1,     55,    56,     64,     32767,   32768,
                                  32769, 65536, 100000, 999999, 1048575, 1048576};

TEST(BlockDigest, IsThatOfItsPieces) {
  for (const std::uint64_t blocks : {1, 1000}) {
    const BlockDigester digest(blocks);
    for (const std::size_t size : kSizes) {
      const Bytes block = message(size);
      EXPECT_EQ(digest(block), expected(block)) << size << " bytes, " << blocks << " blocks";
    }
  }
}

TEST(BlockDigest, ChangesWithEveryPiece) {
  Bytes block = message(1048576);
  const BlockDigester digest(1000);
  const Sha256Digest before = digest(block);
  for (std::size_t at = 17; at < block.size(); at += kDigestPieceSize) {
    block[at] ^= 1;
    EXPECT_NE(digest(block), before) << at;
    block[at] ^= 1;
  }
  EXPECT_EQ(digest(block), before);
}

TEST(BlockDigest, FromManyThreads) {
  const BlockDigester digest(1000);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 8; ++i) {
    threads.emplace_back([&digest, i] {
      const Bytes block = message(100000 + i * 50000);
      const Sha256Digest wanted = expected(block);
      for (int round = 0; round < 50; ++round) EXPECT_EQ(digest(block), wanted);
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
