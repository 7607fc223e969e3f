#include <gtest/gtest.h>

#include <thread>

#include "memory_blob.hpp"

namespace ptsecure {
namespace {

constexpr std::size_t kFirst = kSegmentSize - kTagSize - kHeaderSize;
constexpr std::size_t kNext = kSegmentSize - kTagSize;
constexpr std::array kLevels = {VerifyLevel::signed_, VerifyLevel::aead};

const std::vector<std::size_t> kSizes = {0,
                                         1,
                                         kFirst - 1,
                                         kFirst,
                                         kFirst + 1,
                                         kFirst + kNext - 1,
                                         kFirst + kNext,
                                         kFirst + kNext + 1,
                                         kFirst + 4 * kNext,
                                         kFirst + 4 * kNext + 12345};

TEST(SealedSource, ReadsAllOfEverySize) {
  ThreadPool pool(3);
  for (const std::size_t size : kSizes) {
    const Bytes plain = noise(size);
    const Sealed sealed = seal_bytes(plain, pool);
    for (const VerifyLevel level : kLevels) {
      const Opened opened = open_sealed(sealed, pool, level);
      ASSERT_EQ(opened.source->size(), size);
      Bytes read(size);
      opened.source->read(0, read.data(), size);
      EXPECT_EQ(read, plain) << size;
      opened.source->finish();
      EXPECT_EQ(opened.blob->fetched_most(), 1) << size;
      EXPECT_EQ(opened.blob->fetched_least(), 1) << size;
    }
  }
}

TEST(SealedSource, FillsWhatIsDeferredOfEverySize) {
  ThreadPool pool(3);
  for (const std::size_t size : kSizes) {
    const Bytes plain = noise(size);
    const Sealed sealed = seal_bytes(plain, pool);
    for (const VerifyLevel level : kLevels) {
      const Opened opened = open_sealed(sealed, pool, level);
      Bytes read(size);
      opened.source->defer(0, read.data(), size);
      opened.source->finish();
      EXPECT_EQ(read, plain) << size;
      EXPECT_EQ(opened.blob->fetched_most(), 1) << size;
      opened.source->finish();
      EXPECT_EQ(opened.blob->fetched_most(), 1) << "a second finish has nothing to do";
    }
  }
}

TEST(SealedSource, StreamsInOrder) {
  ThreadPool pool(3);
  std::vector<std::size_t> sizes = kSizes;
  sizes.push_back(kFirst + 40 * kNext + 7);
  for (const std::size_t size : sizes) {
    const Bytes plain = noise(size);
    const Sealed sealed = seal_bytes(plain, pool);
    Bytes read;
    const auto caller = std::this_thread::get_id();
    open_sealed(sealed, pool).source->stream([&](std::uint64_t pos, ByteView part) {
      EXPECT_EQ(pos, read.size());
      EXPECT_EQ(std::this_thread::get_id(), caller);
      read.insert(read.end(), part.begin(), part.end());
    });
    EXPECT_EQ(read, plain) << size;
  }
}

TEST(SealedSource, StreamHoldsABoundedWindow) {
  ThreadPool pool(4);
  const Bytes plain = noise(kFirst + 70 * kNext);
  const Sealed sealed = seal_bytes(plain, pool);
  const Opened opened = open_sealed(sealed, pool);
  std::atomic<std::uint64_t> furthest{0};
  opened.blob->on_segment = [&](std::uint64_t index, Bytes&) {
    for (std::uint64_t seen = furthest;
         seen < index && !furthest.compare_exchange_weak(seen, index);) {
    }
    return true;
  };
  opened.source->stream(
      [&](std::uint64_t pos, ByteView) { EXPECT_LE(furthest.load(), segment_of(pos) + 32); });
}

TEST(SealedSource, StreamEndsWithItsSink) {
  ThreadPool pool(2);
  const Sealed sealed = seal_bytes(noise(kFirst + 40 * kNext), pool);
  int calls = 0;
  expect_error(Status::io, "disk full", [&] {
    open_sealed(sealed, pool).source->stream([&](std::uint64_t, ByteView) {
      if (++calls == 3) throw Error(Status::io, "disk full");
    });
  });
  EXPECT_EQ(calls, 3);
}

TEST(SealedSource, RandomReadsAndDestinationsGetTheirBytes) {
  ThreadPool pool(4);
  const Bytes plain = noise(kFirst + 6 * kNext + 999);
  const Sealed sealed = seal_bytes(plain, pool);
  std::mt19937 generator(42);
  const auto pick = [&](std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(generator);
  };
  for (int round = 0; round < 60; ++round) {
    const Opened opened = open_sealed(sealed, pool, kLevels[pick(2)]);
    std::vector<std::pair<std::size_t, Bytes>> deferred;
    deferred.reserve(64);
    const auto expect_bytes = [&](std::size_t pos, const Bytes& got, const char* what) {
      ASSERT_TRUE(
          std::equal(got.begin(), got.end(), plain.begin() + static_cast<std::ptrdiff_t>(pos)))
          << what << " of " << got.size() << " at " << pos << " in round " << round;
    };
    for (std::size_t step = 0, steps = 1 + pick(40); step < steps; ++step) {
      const std::size_t pos = pick(plain.size());
      const std::size_t most = pick(3) == 0 ? plain.size() : std::size_t{1} << (4 + pick(18));
      const std::size_t n = 1 + pick(std::min(most, plain.size() - pos));
      switch (pick(4)) {
        case 0: {
          Bytes got(n);
          opened.source->read(pos, got.data(), n);
          expect_bytes(pos, got, "read");
          break;
        }
        case 1:
          if (!deferred.empty()) {  // the same range again
            const std::size_t i = pick(deferred.size());
            deferred.emplace_back(deferred[i].first, Bytes(deferred[i].second.size()));
            break;
          }
          [[fallthrough]];
        default:
          deferred.emplace_back(pos, Bytes(n));
      }
      if (!deferred.empty() && deferred.back().second[0] == 0) {
        Bytes& to = deferred.back().second;
        opened.source->defer(deferred.back().first, to.data(), to.size());
      }
    }
    opened.source->finish();
    for (const auto& [pos, got] : deferred) expect_bytes(pos, got, "deferred");
    EXPECT_GE(opened.blob->fetched_least(), 1);
  }
}

// Loaders read a little in front of each tensor and then defer the tensor itself.
TEST(SealedSource, SmallReadsBetweenDeferredTensorsCostNoSecondDecryption) {
  for (const unsigned threads : {1U, 2U, 5U}) {
    ThreadPool pool(threads);
    const std::size_t record = 700'000;
    const std::size_t records = 60;
    const Bytes plain = noise(records * record + 5000);
    const Sealed sealed = seal_bytes(plain, pool);
    for (const VerifyLevel level : kLevels) {
      const Opened opened = open_sealed(sealed, pool, level);
      Bytes directory(5000), header(30), tensors(records * record);
      opened.source->read(records * record, directory.data(), directory.size());
      for (std::size_t i = 0; i < records; ++i) {
        const std::size_t pos = i * record;
        opened.source->read(pos, header.data(), header.size());
        opened.source->defer(pos + 64, tensors.data() + pos + 64, record - 64);
      }
      opened.source->finish();
      // The directory's segment has left the cache when the last tensor asks for it.
      EXPECT_LE(opened.blob->fetched_total(), segment_count(plain.size()) + 1) << threads;
      EXPECT_EQ(opened.blob->fetched_least(), 1);
      for (std::size_t i = 0; i < records; ++i) {
        const auto at = static_cast<std::ptrdiff_t>(i * record);
        ASSERT_TRUE(std::equal(tensors.begin() + at + 64,
                               tensors.begin() + at + static_cast<std::ptrdiff_t>(record),
                               plain.begin() + at + 64))
            << i;
      }
    }
  }
}

// The same, read at once instead of deferred.
TEST(SealedSource, LargeReadsKeepTheirEdgesForTheNext) {
  ThreadPool pool(3);
  const std::size_t record = 2'600'000;
  const Bytes plain = noise(8 * record);
  const Sealed sealed = seal_bytes(plain, pool);
  const Opened opened = open_sealed(sealed, pool);
  Bytes header(30), read(plain.size());
  for (std::size_t pos = 0; pos < plain.size(); pos += record) {
    opened.source->read(pos, header.data(), header.size());
    opened.source->read(pos + 64, read.data() + pos + 64, record - 64);
    std::copy_n(plain.begin() + static_cast<std::ptrdiff_t>(pos), 64,
                read.begin() + static_cast<std::ptrdiff_t>(pos));
  }
  EXPECT_EQ(read, plain);
  opened.source->finish();
  EXPECT_EQ(opened.blob->fetched_most(), 1);
}

TEST(SealedSource, ThousandsOfSmallReadsFetchASegmentOnce) {
  ThreadPool pool(2);
  const Bytes plain = noise(kFirst + 3 * kNext);
  const Sealed sealed = seal_bytes(plain, pool);
  const Opened opened = open_sealed(sealed, pool);
  for (std::size_t i = 0; i < 5000; ++i) {
    const std::size_t pos = i * 7919 % (plain.size() - 30);
    Bytes got(30);
    opened.source->read(pos, got.data(), got.size());
    ASSERT_TRUE(
        std::equal(got.begin(), got.end(), plain.begin() + static_cast<std::ptrdiff_t>(pos)));
  }
  EXPECT_EQ(opened.blob->fetched_most(), 1);
}

TEST(SealedSource, SmallReadsOfMoreSegmentsThanTheCacheHoldsAreRight) {
  ThreadPool pool(1);
  const Bytes plain = noise(kFirst + 24 * kNext);
  const Sealed sealed = seal_bytes(plain, pool);
  const Opened opened = open_sealed(sealed, pool);
  for (int round = 0; round < 2; ++round) {
    for (std::size_t pos = 100; pos + 8 < plain.size(); pos += kNext / 2) {
      Bytes got(8);
      opened.source->read(pos, got.data(), got.size());
      ASSERT_TRUE(
          std::equal(got.begin(), got.end(), plain.begin() + static_cast<std::ptrdiff_t>(pos)));
    }
  }
}

TEST(SealedSource, WhatIsDiscardedIsNotWritten) {
  ThreadPool pool(2);
  const Bytes plain = noise(kFirst + 3 * kNext);
  const Sealed sealed = seal_bytes(plain, pool);
  const Opened opened = open_sealed(sealed, pool);
  Bytes dropped(kNext), kept(kNext);
  opened.source->defer(kFirst, dropped.data(), dropped.size());
  opened.source->discard_deferred();
  opened.source->defer(kFirst + 5, kept.data(), kept.size());
  opened.source->finish();
  EXPECT_EQ(dropped, Bytes(kNext));
  EXPECT_TRUE(std::equal(kept.begin(), kept.end(), plain.begin() + kFirst + 5));
  EXPECT_EQ(opened.blob->fetched_least(), 1);
}

TEST(SealedSource, BytesPastTheEndAreRefused) {
  ThreadPool pool(1);
  const Sealed sealed = seal_bytes(noise(100), pool);
  const Opened opened = open_sealed(sealed, pool);
  Bytes out(200);
  for (const auto& [pos, n] : std::vector<std::pair<std::uint64_t, std::size_t>>{
           {0, 101}, {100, 1}, {99, 2}, {UINT64_MAX, 2}, {2, SIZE_MAX}}) {
    expect_error(Status::invalid_argument, "past the end",
                 [&] { opened.source->read(pos, out.data(), n); });
    expect_error(Status::invalid_argument, "past the end",
                 [&] { opened.source->defer(pos, out.data(), n); });
  }
  opened.source->read(100, out.data(), 0);
}

TEST(SealedSource, VerifyKeepsNothingAndLooksAtAll) {
  ThreadPool pool(3);
  const Sealed sealed = seal_bytes(noise(kFirst + 9 * kNext), pool);
  const Opened opened = open_sealed(sealed, pool);
  opened.source->verify();
  EXPECT_GE(opened.blob->fetched_least(), 1);
}

TEST(SealedSource, StoredSegmentsAreVerifiedWithoutTheKey) {
  ThreadPool pool(3);
  Sealed sealed = seal_bytes(noise(kFirst + 9 * kNext), pool);
  MemoryReader whole(sealed.stored);
  std::uint64_t last = 0;
  verify_stored_segments(sealed.entry, whole, sealed.digests, pool,
                         [&](std::uint64_t done, std::uint64_t) { last = done; }, {});
  EXPECT_EQ(last, sealed.entry.plaintext_size);
  EXPECT_EQ(whole.fetched_least(), 1);
  sealed.stored[5 * kSegmentSize + 77] ^= 1;
  MemoryReader damaged(sealed.stored);
  expect_error(Status::corrupt, "segment 5 of 10", [&] {
    verify_stored_segments(sealed.entry, damaged, sealed.digests, pool, {}, {});
  });
}

TEST(SealedSource, ProgressRisesToTheTotalOnce) {
  ThreadPool pool(4);
  const Bytes plain = noise(kFirst + 20 * kNext);
  const Sealed sealed = seal_bytes(plain, pool);
  std::vector<std::uint64_t> reports;
  const Opened opened =
      open_sealed(sealed, pool, VerifyLevel::signed_, [&](std::uint64_t done, std::uint64_t total) {
        EXPECT_EQ(total, plain.size());
        reports.push_back(done);
      });
  Bytes read(plain.size());
  opened.source->defer(0, read.data(), read.size());
  opened.source->finish();
  EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.back(), plain.size());
  EXPECT_EQ(std::count(reports.begin(), reports.end(), plain.size()), 1);
}

TEST(SealedSource, ExceptionFromProgressEndsTheOpen) {
  ThreadPool pool(4);
  const Sealed sealed = seal_bytes(noise(kFirst + 20 * kNext), pool);
  int calls = 0;
  expect_error(Status::cancelled, "enough", [&] {
    const Opened opened =
        open_sealed(sealed, pool, VerifyLevel::signed_, [&](std::uint64_t, std::uint64_t) {
          ++calls;
          throw Error(Status::cancelled, "enough");
        });
    opened.source->finish();
  });
  EXPECT_EQ(calls, 1);
}

TEST(SealedSource, CancelEndsEveryWay) {
  ThreadPool pool(2);
  const Sealed sealed = seal_bytes(noise(kFirst + 30 * kNext), pool);
  using Way = std::function<void(SealedSource&)>;
  for (const Way& way :
       std::vector<Way>{[](SealedSource& source) { source.finish(); },
                        [](SealedSource& source) { source.verify(); },
                        [](SealedSource& source) { source.stream([](std::uint64_t, ByteView) {}); },
                        [](SealedSource& source) {
                          Bytes all(source.size());
                          source.read(0, all.data(), all.size());
                        }}) {
    const CancelToken cancel = CancelToken::make();
    const Opened opened = open_sealed(sealed, pool, VerifyLevel::signed_, {}, cancel);
    opened.blob->on_segment = [&](std::uint64_t index, Bytes&) {
      if (index == 4) cancel.cancel();
      return true;
    };
    expect_error(Status::cancelled, "cancelled by the caller", [&] { way(*opened.source); });
    EXPECT_EQ(opened.blob->fetched_least(), 0);
  }
}

TEST(SealedSource, ManySourcesShareOnePool) {
  ThreadPool pool(3);
  const Bytes plain = noise(kFirst + 7 * kNext + 11);
  const Sealed sealed = seal_bytes(plain, pool);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Opened opened = open_sealed(sealed, pool, kLevels[static_cast<std::size_t>(t) % 2]);
      Bytes first(kNext * 2), rest(plain.size() - first.size());
      opened.source->defer(first.size(), rest.data(), rest.size());
      opened.source->read(0, first.data(), first.size());
      opened.source->finish();
      first.insert(first.end(), rest.begin(), rest.end());
      right += first == plain ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 4);
}

}  // namespace
}  // namespace ptsecure
