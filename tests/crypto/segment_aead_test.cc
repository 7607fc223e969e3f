#include "libptsecure/crypto/segment_aead.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <thread>

#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/random.hpp"
#include "tests/crypto/expect_status.hpp"

namespace ptsecure {
namespace {

constexpr std::uint64_t kFirst = kSegmentSize - kHeaderSize - kTagSize;
constexpr std::uint64_t kNext = kSegmentSize - kTagSize;
constexpr std::string_view kAad = "ptsecure/1 digits 7";

const std::uint64_t kSizes[] = {0,
                                1,
                                15,
                                16,
                                17,
                                4096,
                                kFirst - 1,
                                kFirst,
                                kFirst + 1,
                                kFirst + kNext - 1,
                                kFirst + kNext,
                                kFirst + kNext + 1,
                                kFirst + 2 * kNext,
                                kFirst + 2 * kNext + 4711};

Bytes pattern(std::uint64_t size) {
  Bytes out(static_cast<std::size_t>(size));
  std::uint32_t x = 12345;
  for (auto& byte : out) {
    x = x * 1664525 + 1013904223;
    byte = static_cast<std::uint8_t>(x >> 24);
  }
  return out;
}

Bytes seal(ByteView dek, std::string_view aad, ByteView plain) {
  SegmentSealer sealer(dek, as_bytes(aad), plain.size());
  Bytes stored(static_cast<std::size_t>(stored_size(plain.size())));
  for (std::uint64_t i = 0; i < segment_count(plain.size()); ++i) {
    const SegmentExtent e = segment_extent(i, plain.size());
    sealer.seal(i, plain.subspan(static_cast<std::size_t>(e.plain_offset), e.plain_size),
                ByteSpan(stored).subspan(static_cast<std::size_t>(e.stored_offset), e.stored_size));
  }
  return stored;
}

// Opens all, as a reader would that trusts nothing but the key.
Bytes open_all(ByteView dek, std::string_view aad, ByteView stored) {
  const ByteView header = stored.first(std::min(stored.size(), kHeaderSize));
  SegmentOpener opener(dek, as_bytes(aad), header, stored.size());
  Bytes plain(static_cast<std::size_t>(opener.plaintext_size()));
  for (std::uint64_t i = 0; i < opener.segment_count(); ++i) {
    const SegmentExtent e = segment_extent(i, plain.size());
    opener.open(i, stored.subspan(static_cast<std::size_t>(e.stored_offset), e.stored_size),
                ByteSpan(plain).subspan(static_cast<std::size_t>(e.plain_offset), e.plain_size));
  }
  return plain;
}

class SegmentAead : public ::testing::Test {
 protected:
  SecretBytes dek_ = SecretBytes::random(32);
};

TEST_F(SegmentAead, SizesAreConsistent) {
  for (const std::uint64_t size : kSizes) {
    const std::uint64_t count = segment_count(size);
    std::uint64_t plain = 0;
    std::uint64_t stored = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const SegmentExtent e = segment_extent(i, size);
      EXPECT_EQ(e.plain_offset, plain);
      EXPECT_EQ(e.stored_offset, i * kSegmentSize);
      EXPECT_EQ(e.stored_offset, stored);
      EXPECT_TRUE(e.plain_size > 0 || size == 0);
      if (e.plain_size > 0) {
        EXPECT_EQ(segment_of(plain), i);
        EXPECT_EQ(segment_of(plain + e.plain_size - 1), i);
      }
      plain += e.plain_size;
      stored += e.stored_size;
    }
    EXPECT_EQ(plain, size);
    EXPECT_EQ(stored, stored_size(size));
    EXPECT_EQ(plaintext_size_of(stored), size);
    EXPECT_STATUS(invalid_argument, segment_extent(count, size));
  }
  EXPECT_EQ(segment_count(0), 1u);
  EXPECT_EQ(segment_count(kFirst), 1u);
  EXPECT_EQ(segment_count(kFirst + 1), 2u);
  const std::uint64_t most = kFirst + (kMaxSegments - 1) * kNext;
  EXPECT_EQ(segment_count(most), kMaxSegments);
  EXPECT_EQ(plaintext_size_of(stored_size(most)), most);
  EXPECT_STATUS(limit_exceeded, segment_count(most + 1));
  EXPECT_STATUS(limit_exceeded, stored_size(UINT64_MAX));
}

TEST_F(SegmentAead, ImpossibleStoredSizesAreRefused) {
  for (std::uint64_t size = 0; size < kHeaderSize + kTagSize; ++size) {
    EXPECT_STATUS(corrupt, plaintext_size_of(size));
  }
  for (std::uint64_t extra = 1; extra <= kTagSize; ++extra) {
    EXPECT_STATUS(corrupt, plaintext_size_of(kSegmentSize + extra));
    EXPECT_STATUS(corrupt, plaintext_size_of(5 * kSegmentSize + extra));
  }
  EXPECT_EQ(plaintext_size_of(kSegmentSize + kTagSize + 1), kFirst + 1);
  EXPECT_STATUS(corrupt, plaintext_size_of(kMaxSegments * kSegmentSize + 100));
  EXPECT_STATUS(corrupt, plaintext_size_of(UINT64_MAX));
}

TEST_F(SegmentAead, RoundTripsEverySize) {
  for (const std::uint64_t size : kSizes) {
    const Bytes plain = pattern(size);
    const Bytes stored = seal(dek_.view(), kAad, plain);
    EXPECT_EQ(stored[0], 0x28);
    EXPECT_EQ(open_all(dek_.view(), kAad, stored), plain) << size;
  }
}

TEST_F(SegmentAead, EveryHeaderByteCounts) {
  const Bytes plain = pattern(3000);
  const Bytes stored = seal(dek_.view(), kAad, plain);
  for (std::size_t i = 0; i < kHeaderSize; ++i) {
    for (const int bit : {0, 7}) {
      Bytes changed = stored;
      changed[i] = static_cast<std::uint8_t>(changed[i] ^ (1 << bit));
      EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, changed));
    }
  }
  // A header that changes after the opener was made.
  SegmentOpener opener(dek_.view(), as_bytes(kAad), ByteView(stored).first(40), stored.size());
  Bytes changed = stored;
  changed[5] ^= 1;
  Bytes out(plain.size());
  EXPECT_STATUS(corrupt, opener.open(0, changed, out));
}

TEST_F(SegmentAead, EveryFlippedBitIsFoundAndNothingIsLeft) {
  const Bytes plain = pattern(100);
  const Bytes stored = seal(dek_.view(), kAad, plain);
  for (std::size_t i = kHeaderSize; i < stored.size(); ++i) {
    Bytes changed = stored;
    changed[i] = static_cast<std::uint8_t>(changed[i] ^ (1u << (i % 8)));
    SegmentOpener opener(dek_.view(), as_bytes(kAad), ByteView(changed).first(40), changed.size());
    Bytes out(plain.size(), 0xee);
    EXPECT_STATUS(corrupt, opener.open(0, changed, out));
    EXPECT_EQ(out, Bytes(plain.size(), 0));
  }
}

TEST_F(SegmentAead, SegmentsKeepTheirPlace) {
  const Bytes plain = pattern(kFirst + 3 * kNext);
  const Bytes stored = seal(dek_.view(), kAad, plain);
  const auto segment = [](Bytes& bytes, std::size_t i) {
    return bytes.begin() + static_cast<std::ptrdiff_t>(i * kSegmentSize);
  };
  Bytes swapped = stored;
  std::swap_ranges(segment(swapped, 1), segment(swapped, 2), segment(swapped, 2));
  EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, swapped));
  Bytes last_first = stored;
  std::swap_ranges(segment(last_first, 2), segment(last_first, 3), segment(last_first, 3));
  EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, last_first));
  Bytes dropped = stored;
  dropped.erase(segment(dropped, 1), segment(dropped, 2));
  EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, dropped));
  Bytes duplicated = stored;
  std::copy_n(stored.begin() + kSegmentSize, kSegmentSize, segment(duplicated, 2));
  EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, duplicated));
  Bytes inserted = stored;
  inserted.insert(segment(inserted, 1), stored.begin() + kSegmentSize,
                  stored.begin() + 2 * kSegmentSize);
  EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, inserted));
}

TEST_F(SegmentAead, TruncationAndExtensionAreFound) {
  const Bytes plain = pattern(kFirst + kNext + 1000);
  const Bytes stored = seal(dek_.view(), kAad, plain);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{39}, std::size_t{40}, std::size_t{56},
        std::size_t{1000}, kSegmentSize - 1, kSegmentSize, kSegmentSize + 1, kSegmentSize + 17,
        2 * kSegmentSize, 2 * kSegmentSize + 16, 2 * kSegmentSize + 17, stored.size() - 16,
        stored.size() - 1}) {
    EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, ByteView(stored).first(size)));
  }
  for (const std::size_t extra : {std::size_t{1}, std::size_t{16}, std::size_t{17}, kSegmentSize}) {
    Bytes longer = stored;
    longer.resize(stored.size() + extra);
    EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, longer));
  }
  // A payload that ends at a boundary, with an empty sealed segment after it.
  const Bytes full = seal(dek_.view(), kAad, pattern(kFirst));
  Bytes longer = full;
  longer.resize(full.size() + kTagSize);
  EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, longer));
}

TEST_F(SegmentAead, SplicesUnderTheSameKeyAreFound) {
  const Bytes plain = pattern(kFirst + 2 * kNext);
  const Bytes one = seal(dek_.view(), kAad, plain);
  const Bytes two = seal(dek_.view(), kAad, plain);
  Bytes spliced = one;
  std::copy_n(two.begin() + kSegmentSize, kSegmentSize, spliced.begin() + kSegmentSize);
  EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, spliced));
  Bytes header_of_two = one;
  std::copy_n(two.begin(), kHeaderSize, header_of_two.begin());
  EXPECT_STATUS(corrupt, open_all(dek_.view(), kAad, header_of_two));
}

TEST_F(SegmentAead, WrongKeyAndWrongAssociatedData) {
  const Bytes stored = seal(dek_.view(), kAad, pattern(500));
  const SecretBytes other = SecretBytes::random(32);
  EXPECT_STATUS(corrupt, open_all(other.view(), kAad, stored));
  for (const std::string_view aad :
       {"", "ptsecure/1 digits 8", "ptsecure/1 digits 77", "ptsecure/1 digit 7"}) {
    EXPECT_STATUS(corrupt, open_all(dek_.view(), aad, stored));
  }
}

TEST_F(SegmentAead, BadDataKeysAreRefused) {
  const Bytes stored = seal(dek_.view(), kAad, {});
  const Bytes zero(32, 0);
  for (const ByteView bad : {ByteView(zero), ByteView(zero).first(16), ByteView()}) {
    EXPECT_STATUS(invalid_argument, SegmentSealer(bad, as_bytes(kAad), 1));
    EXPECT_STATUS(invalid_argument,
                  SegmentOpener(bad, as_bytes(kAad), ByteView(stored).first(40), stored.size()));
    EXPECT_STATUS(invalid_argument, key_commitment(bad));
  }
  const Bytes longer(33, 1);
  EXPECT_STATUS(invalid_argument, SegmentSealer(longer, as_bytes(kAad), 1));
}

TEST_F(SegmentAead, CommitmentBindsOneKey) {
  EXPECT_EQ(key_commitment(dek_.view()), key_commitment(dek_.view()));
  SecretBytes other = dek_.clone();
  other.data()[31] ^= 1;
  EXPECT_NE(key_commitment(dek_.view()), key_commitment(other.view()));
  // HKDF-SHA256 of 32 bytes 01, no salt, info "ptsecure/1 key commitment": fixed by the format.
  const Bytes ones(32, 1);
  const SecretBytes expected =
      hkdf_sha256(ones, Bytes(32, 0), as_bytes("ptsecure/1 key commitment"), 32);
  EXPECT_EQ(hex(key_commitment(ones)), hex(expected.view()));
}

TEST_F(SegmentAead, SaltsAndNoncesNeverRepeat) {
  std::set<Bytes> salts, prefixes, sealed;
  for (int i = 0; i < 2000; ++i) {
    const Bytes stored = seal(dek_.view(), kAad, as_bytes("same plaintext"));
    EXPECT_TRUE(salts.emplace(stored.begin() + 1, stored.begin() + 33).second);
    EXPECT_TRUE(prefixes.emplace(stored.begin() + 33, stored.begin() + 40).second);
    EXPECT_TRUE(sealed.emplace(stored.begin() + 40, stored.end()).second);
  }
}

TEST_F(SegmentAead, ASegmentIsSealedOnce) {
  const Bytes plain = pattern(kFirst + 10);
  SegmentSealer sealer(dek_.view(), as_bytes(kAad), plain.size());
  Bytes out(kSegmentSize);
  // Wrong sizes don't count as a seal.
  EXPECT_STATUS(invalid_argument, sealer.seal(0, ByteView(plain).first(5), out));
  EXPECT_STATUS(invalid_argument,
                sealer.seal(0, ByteView(plain).first(kFirst), ByteSpan(out).first(9)));
  EXPECT_STATUS(invalid_argument, sealer.seal(2, {}, {}));
  EXPECT_STATUS(invalid_argument, sealer.seal(UINT64_MAX, {}, {}));
  sealer.seal(0, ByteView(plain).first(kFirst), out);
  EXPECT_STATUS(internal, sealer.seal(0, ByteView(plain).first(kFirst), out));
  Bytes last(10 + kTagSize);
  sealer.seal(1, ByteView(plain).last(10), last);
  EXPECT_STATUS(internal, sealer.seal(1, ByteView(plain).last(10), last));
}

TEST_F(SegmentAead, PiecesOfEveryShape) {
  const Bytes plain = pattern(70001);
  const Bytes stored = seal(dek_.view(), kAad, plain);
  SegmentOpener opener(dek_.view(), as_bytes(kAad), ByteView(stored).first(40), stored.size());
  for (const std::size_t step : {1u, 7u, 15u, 16u, 17u, 33u, 4095u, 20000u, 70001u}) {
    Bytes out(plain.size(), 0xee);
    Bytes expected = plain;
    std::vector<SegmentOpener::Piece> pieces;
    for (std::size_t at = 0, n = 0; at < plain.size(); at += step, ++n) {
      const std::size_t size = std::min(step, plain.size() - at);
      const bool keep = n % 3 != 1;
      pieces.push_back({keep ? out.data() + at : nullptr, size});
      if (n % 5 == 0) pieces.push_back({nullptr, 0});
      if (!keep) std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(at), size, 0xee);
    }
    opener.open(0, stored, pieces);
    EXPECT_EQ(out, expected) << step;
  }
  const SegmentOpener::Piece none{nullptr, plain.size()};
  opener.open(0, stored, std::span(&none, 1));
  const SegmentOpener::Piece shorter{nullptr, plain.size() - 1};
  EXPECT_STATUS(invalid_argument, opener.open(0, stored, std::span(&shorter, 1)));
  Bytes out(plain.size());
  const SegmentOpener::Piece wrapping[] = {{nullptr, SIZE_MAX}, {nullptr, plain.size() + 1}};
  EXPECT_STATUS(invalid_argument, opener.open(0, stored, wrapping));
  EXPECT_STATUS(corrupt, opener.open(0, ByteView(stored).first(stored.size() - 1), out));
}

TEST_F(SegmentAead, DiscardedPiecesAreAuthenticatedToo) {
  const Bytes plain = pattern(5000);
  Bytes stored = seal(dek_.view(), kAad, plain);
  stored[kHeaderSize + 4000] ^= 0x10;
  SegmentOpener opener(dek_.view(), as_bytes(kAad), ByteView(stored).first(40), stored.size());
  Bytes out(100, 0xee);
  const SegmentOpener::Piece pieces[] = {{out.data(), 50}, {nullptr, 4900}, {out.data() + 50, 50}};
  EXPECT_STATUS(corrupt, opener.open(0, stored, pieces));
  EXPECT_EQ(out, Bytes(100, 0));
  // The opener stays usable after a refusal.
  stored[kHeaderSize + 4000] ^= 0x10;
  opener.open(0, stored, pieces);
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + 50, plain.begin()));
}

TEST_F(SegmentAead, ManyThreadsSealAndOpen) {
  const Bytes plain = pattern(kFirst + 6 * kNext + 5);
  const std::uint64_t count = segment_count(plain.size());
  SegmentSealer sealer(dek_.view(), as_bytes(kAad), plain.size());
  Bytes stored(static_cast<std::size_t>(stored_size(plain.size())));
  Bytes opened(plain.size());
  const auto in_threads = [&](auto work) {
    std::atomic<std::uint64_t> next{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (std::uint64_t i; (i = next++) < count;) work(i, segment_extent(i, plain.size()));
      });
    }
    for (auto& thread : threads) thread.join();
  };
  in_threads([&](std::uint64_t i, const SegmentExtent& e) {
    sealer.seal(i, ByteView(plain).subspan(static_cast<std::size_t>(e.plain_offset), e.plain_size),
                ByteSpan(stored).subspan(static_cast<std::size_t>(e.stored_offset), e.stored_size));
  });
  const SegmentOpener opener(dek_.view(), as_bytes(kAad), ByteView(stored).first(40),
                             stored.size());
  in_threads([&](std::uint64_t i, const SegmentExtent& e) {
    opener.open(i,
                ByteView(stored).subspan(static_cast<std::size_t>(e.stored_offset), e.stored_size),
                ByteSpan(opened).subspan(static_cast<std::size_t>(e.plain_offset), e.plain_size));
  });
  EXPECT_EQ(opened, plain);
}

}  // namespace
}  // namespace ptsecure
