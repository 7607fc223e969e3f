#include <gtest/gtest.h>

#include "memory_blob.hpp"

// What somebody who can write to the store may try.
namespace ptsecure {
namespace {

constexpr std::size_t kFirst = kSegmentSize - kTagSize - kHeaderSize;
constexpr std::size_t kNext = kSegmentSize - kTagSize;
constexpr std::array kLevels = {VerifyLevel::signed_, VerifyLevel::aead};

using Way = std::function<void(const Sealed&, ThreadPool&, VerifyLevel)>;

// Every way to get at the bytes.
const std::vector<std::pair<const char*, Way>> kWays = {
    {"finish", [](const Sealed& sealed, ThreadPool& pool,
                  VerifyLevel level) { open_sealed(sealed, pool, level).source->finish(); }},
    {"defer",
     [](const Sealed& sealed, ThreadPool& pool, VerifyLevel level) {
       const Opened opened = open_sealed(sealed, pool, level);
       Bytes out(opened.source->size());
       opened.source->defer(0, out.data(), out.size());
       opened.source->finish();
     }},
    {"read",
     [](const Sealed& sealed, ThreadPool& pool, VerifyLevel level) {
       const Opened opened = open_sealed(sealed, pool, level);
       Bytes out(opened.source->size());
       opened.source->read(0, out.data(), out.size());
       opened.source->finish();
     }},
    {"small reads",
     [](const Sealed& sealed, ThreadPool& pool, VerifyLevel level) {
       const Opened opened = open_sealed(sealed, pool, level);
       for (std::uint64_t pos = 0; pos + 10 < opened.source->size(); pos += kNext) {
         std::uint64_t out = 0;
         opened.source->read(pos, &out, sizeof out);
       }
       opened.source->finish();
     }},
    {"stream",
     [](const Sealed& sealed, ThreadPool& pool, VerifyLevel level) {
       open_sealed(sealed, pool, level).source->stream([](std::uint64_t, ByteView) {});
     }},
    {"verify", [](const Sealed& sealed, ThreadPool& pool,
                  VerifyLevel level) { open_sealed(sealed, pool, level).source->verify(); }},
};

class Tamper : public testing::Test {
 protected:
  Sealed copy() const {
    return {sealed_.dek.clone(), sealed_.entry, sealed_.digests, sealed_.stored};
  }

  void expect_refused(const Sealed& sealed, const std::string& what) {
    for (const VerifyLevel level : kLevels) expect_refused_at(level, sealed, what);
  }
  void expect_refused_at(VerifyLevel level, const Sealed& sealed, const std::string& what) {
    for (const auto& [name, way] : kWays) {
      SCOPED_TRACE(what + " by " + name);
      expect_error(Status::corrupt, "", [&] { way(sealed, pool_, level); });
    }
  }

  ThreadPool pool_{3};
  Bytes plain_ = noise(kFirst + 3 * kNext + 1234);
  Sealed sealed_ = seal_bytes(plain_, pool_);
};

TEST_F(Tamper, TheUntouchedOneOpensEveryWay) {
  for (const VerifyLevel level : kLevels) {
    for (const auto& [name, way] : kWays) EXPECT_NO_THROW(way(sealed_, pool_, level)) << name;
  }
}

// Positions of every kind: format byte, salt, prefix, ciphertext, tag; first, middle, last segment.
TEST_F(Tamper, OneFlippedBit) {
  for (const std::size_t pos :
       {std::size_t{0}, std::size_t{1}, std::size_t{20}, std::size_t{33}, std::size_t{39},
        std::size_t{40}, kSegmentSize - 17, kSegmentSize - 16, kSegmentSize - 1, kSegmentSize,
        2 * kSegmentSize + 4711, 3 * kSegmentSize - 1, sealed_.stored.size() - 17,
        sealed_.stored.size() - 16, sealed_.stored.size() - 1}) {
    Sealed damaged = copy();
    damaged.stored[pos] ^= 0x10;
    expect_refused_at(VerifyLevel::signed_, damaged, "bit at " + std::to_string(pos));
    expect_refused_at(VerifyLevel::aead, damaged, "bit at " + std::to_string(pos));
    damaged.sign_again();
    expect_refused(damaged, "bit with fitting digests at " + std::to_string(pos));
  }
}

TEST_F(Tamper, SegmentsReordered) {
  Sealed damaged = copy();
  std::swap_ranges(damaged.stored.begin() + kSegmentSize, damaged.stored.begin() + 2 * kSegmentSize,
                   damaged.stored.begin() + 2 * kSegmentSize);
  expect_refused(damaged, "swapped");
  damaged.sign_again();
  expect_refused(damaged, "swapped, with fitting digests");
}

TEST_F(Tamper, SegmentDuplicatedOrDropped) {
  Sealed doubled = copy();
  std::copy_n(doubled.stored.begin() + kSegmentSize, kSegmentSize,
              doubled.stored.begin() + 2 * kSegmentSize);
  expect_refused(doubled, "duplicated");
  doubled.sign_again();
  expect_refused(doubled, "duplicated, with fitting digests");

  Sealed shorter = copy();
  shorter.stored.erase(shorter.stored.begin() + kSegmentSize,
                       shorter.stored.begin() + 2 * kSegmentSize);
  expect_refused(shorter, "dropped");
  shorter.sign_again();
  shorter.entry.plaintext_size -= kNext;
  expect_refused(shorter, "dropped, with fitting digests and sizes");
}

TEST_F(Tamper, TruncatedOrExtended) {
  const std::size_t size = sealed_.stored.size();
  for (const std::size_t to :
       {std::size_t{0}, std::size_t{39}, std::size_t{56}, kSegmentSize, 4 * kSegmentSize,
        4 * kSegmentSize + 16, size - 1, size + 1, size + 16, size + kSegmentSize}) {
    Sealed damaged = copy();
    damaged.stored.resize(to);
    expect_refused(damaged, "resized to " + std::to_string(to));
    if (to < 56) continue;
    damaged.sign_again();
    try {
      damaged.entry.plaintext_size = plaintext_size_of(to);
    } catch (const Error&) {
      continue;  // no payload has this size
    }
    expect_refused(damaged, "resized, with fitting digests, to " + std::to_string(to));
  }
}

TEST_F(Tamper, SplicedFromAnotherSealUnderTheSameKey) {
  const Sealed other = seal_bytes(plain_, pool_, sealed_.dek.clone());
  Sealed damaged = copy();
  std::copy_n(other.stored.begin() + 2 * kSegmentSize, kSegmentSize,
              damaged.stored.begin() + 2 * kSegmentSize);
  expect_refused(damaged, "spliced");
  damaged.sign_again();
  expect_refused(damaged, "spliced, with fitting digests");

  Sealed header = copy();
  std::copy_n(other.stored.begin(), kHeaderSize, header.stored.begin());
  expect_refused(header, "other header");
  header.sign_again();
  expect_refused(header, "other header, with fitting digests");
}

TEST_F(Tamper, PassedOffAsAnotherNameOrVersion) {
  Sealed version = copy();
  version.entry.sealed_version = 8;
  expect_refused(version, "another version");
  Sealed name = copy();
  name.entry.sealed_name = "digitt";
  expect_refused(name, "another name");
}

TEST_F(Tamper, AnotherKeyIsRefusedByItsCommitment) {
  Sealed other = copy();
  other.dek = SecretBytes::random(kDekSize);
  expect_refused(other, "another key");
  const auto blob = std::make_shared<MemoryReader>(other.stored);
  expect_error(Status::corrupt, "not the one it was sealed with", [&] {
    open_payload({&other.entry, blob, other.digests, VerifyLevel::aead, {}, {}}, other.dek.view(),
                 pool_);
  });
  EXPECT_EQ(blob->fetched_most(), 0) << "before anything is fetched";
  other.entry.key_commitment = key_commitment(other.dek.view());
  expect_refused(other, "another key and its commitment");
}

TEST_F(Tamper, DigestsThatAreNotTheSignedOnes) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{31}, std::size_t{32}, std::size_t{159},
                                 std::size_t{161}, std::size_t{192}}) {
    Sealed damaged = copy();
    damaged.digests.resize(size);
    expect_refused(damaged, "digests of size " + std::to_string(size));
    damaged.entry.digests_sha256 = sha256(damaged.digests);
    expect_refused(damaged, "signed digests of size " + std::to_string(size));
  }
  Sealed flipped = copy();
  flipped.digests[100] ^= 1;
  expect_refused(flipped, "a flipped digest");
}

// What level aead leaves out: the digest of a segment that is nothing but deferred bytes.
TEST_F(Tamper, AeadLevelChecksDigestsOfAllButWholeDeferredSegments) {
  Sealed sealed = copy();
  sealed.digests[3 * 32] ^= 1;
  sealed.entry.digests_sha256 = sha256(sealed.digests);
  const std::size_t begin = kFirst + 2 * kNext;  // of segment 3
  Bytes out(plain_.size());
  const auto finish = [&](VerifyLevel level, std::size_t pos, std::size_t n) {
    const Opened opened = open_sealed(sealed, pool_, level);
    opened.source->defer(pos, out.data(), n);
    opened.source->finish();
  };
  EXPECT_NO_THROW(finish(VerifyLevel::aead, begin - 100, kNext + 200));
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + kNext + 200,
                         plain_.begin() + static_cast<std::ptrdiff_t>(begin) - 100));
  const std::string which = "segment 3 of 5 of digits/7 (model) is not the one that was signed";
  expect_error(Status::corrupt, which, [&] { finish(VerifyLevel::aead, begin + 1, kNext); });
  expect_error(Status::corrupt, which, [&] { finish(VerifyLevel::aead, begin - 1, kNext); });
  expect_error(Status::corrupt, which, [&] { finish(VerifyLevel::aead, 0, 1000); });
  expect_error(Status::corrupt, which, [&] { finish(VerifyLevel::signed_, begin, kNext); });
  const Opened opened = open_sealed(sealed, pool_, VerifyLevel::aead);
  expect_error(Status::corrupt, which, [&] { opened.source->read(begin, out.data(), kNext); });
  expect_error(Status::corrupt, which, [&] { opened.source->read(begin, out.data(), 1); });
  expect_error(Status::corrupt, which, [&] { opened.source->verify(); });
}

TEST_F(Tamper, NothingOfAFailedSegmentIsLeftInItsDestinations) {
  for (const VerifyLevel level : kLevels) {
    for (const bool fitting_digests : {false, true}) {
      Sealed damaged = copy();
      damaged.stored[2 * kSegmentSize + 999] ^= 1;
      if (fitting_digests) damaged.sign_again();
      const std::size_t begin = kFirst + kNext;  // of segment 2
      Bytes out(plain_.size()), twice(plain_.size());
      {
        const Opened opened = open_sealed(damaged, pool_, level);
        opened.source->defer(0, out.data(), out.size());
        opened.source->defer(100, twice.data(), out.size() - 100);
        EXPECT_ANY_THROW(opened.source->finish());
      }
      EXPECT_EQ(std::count(out.begin() + begin, out.begin() + begin + kNext, 0), kNext);
      EXPECT_EQ(std::count(twice.begin() + begin - 100, twice.begin() + begin - 100 + kNext, 0),
                kNext);
      const Opened opened = open_sealed(damaged, pool_, level);
      Bytes read(plain_.size(), 0);
      EXPECT_ANY_THROW(opened.source->read(0, read.data(), read.size()));
      EXPECT_EQ(std::count(read.begin() + begin, read.begin() + begin + kNext, 0), kNext);
      Bytes small(100, 0);
      EXPECT_ANY_THROW(opened.source->read(begin + 5, small.data(), small.size()));
      EXPECT_EQ(small, Bytes(100, 0));
      EXPECT_ANY_THROW(opened.source->read(begin + 5, small.data(), small.size())) << "again";
    }
  }
}

TEST_F(Tamper, StreamHandsOutNothingOfAFailedSegment) {
  Sealed damaged = copy();
  damaged.stored[2 * kSegmentSize + 999] ^= 1;
  std::uint64_t end = 0;
  EXPECT_ANY_THROW(
      open_sealed(damaged, pool_).source->stream([&](std::uint64_t pos, ByteView part) {
        end = pos + part.size();
      }));
  EXPECT_LE(end, kFirst + kNext);
}

TEST_F(Tamper, TheLowestDamagedSegmentIsNamedHoweverThreadsRun) {
  ThreadPool pool(6);
  Sealed damaged = seal_bytes(noise(kFirst + 11 * kNext), pool);
  damaged.stored[3 * kSegmentSize + 5] ^= 1;
  damaged.stored[4 * kSegmentSize + 5] ^= 1;
  damaged.stored[9 * kSegmentSize + 5] ^= 1;
  for (int round = 0; round < 30; ++round) {
    expect_error(Status::corrupt, "segment 3 of 12 of digits/7 (model)",
                 [&] { open_sealed(damaged, pool).source->finish(); });
    expect_error(Status::corrupt, "segment 3 of 12 of digits/7 (model)",
                 [&] { open_sealed(damaged, pool).source->verify(); });
  }
}

TEST_F(Tamper, StoresThatMisbehave) {
  using Fault = std::function<bool(std::uint64_t, Bytes&)>;
  const auto expect = [&](Status status, const std::string& part, const Fault& fault) {
    for (const bool deferred : {false, true}) {
      const Opened opened = open_sealed(sealed_, pool_);
      opened.blob->on_segment = fault;
      Bytes out(plain_.size());
      expect_error(status, part, [&] {
        if (deferred) opened.source->defer(0, out.data(), out.size());
        if (!deferred) opened.source->read(0, out.data(), out.size());
        opened.source->finish();
      });
    }
  };
  expect(Status::unavailable, "the server is gone", [](std::uint64_t index, Bytes&) -> bool {
    if (index == 3) throw Error(Status::unavailable, "the server is gone");
    return true;
  });
  expect(Status::corrupt, "before segment 2 of 5",
         [](std::uint64_t index, Bytes&) { return index != 2; });
  expect(Status::corrupt, "segment 1 with 1048575 bytes", [](std::uint64_t index, Bytes& segment) {
    if (index == 1) segment.pop_back();
    return true;
  });
  expect(Status::corrupt, "segment 4 with", [](std::uint64_t index, Bytes& segment) {
    if (index == 4) segment.push_back(0);
    return true;
  });
  expect(Status::corrupt, "segment 1 with 0 bytes", [](std::uint64_t index, Bytes& segment) {
    if (index == 1) segment.clear();
    return true;
  });
  expect(Status::out_of_memory, "none", [](std::uint64_t index, Bytes&) -> bool {
    if (index == 2) throw Error(Status::out_of_memory, "there is none");
    return true;
  });
}

}  // namespace
}  // namespace ptsecure
