#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>

#include "memory_blob.hpp"

// What begin_deferred() does beside its caller.
namespace ptsecure {
namespace {

constexpr std::size_t kFirst = kSegmentSize - kTagSize - kHeaderSize;
constexpr std::size_t kNext = kSegmentSize - kTagSize;
constexpr std::array kLevels = {VerifyLevel::signed_, VerifyLevel::aead};

bool comes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(Ahead, FillsDestinationsBeforeFinish) {
  ThreadPool pool(3);
  const Bytes plain = noise(kFirst + 20 * kNext);
  const Sealed sealed = seal_bytes(plain, pool);
  for (const VerifyLevel level : kLevels) {
    const Opened opened = open_sealed(sealed, pool, level);
    Bytes read(plain.size());
    opened.source->defer(0, read.data(), read.size());
    opened.source->begin_deferred();
    EXPECT_TRUE(comes_true([&] { return opened.blob->fetched_least() == 1; }));
    opened.source->finish();
    EXPECT_EQ(opened.blob->fetched_most(), 1) << "nothing is decrypted twice";
    EXPECT_EQ(read, plain);
  }
}

TEST(Ahead, ReadsMeanwhileGetTheirBytes) {
  for (const unsigned threads : {1U, 2U, 5U}) {
    ThreadPool pool(threads);
    const Bytes plain = noise(kFirst + 12 * kNext + 777);
    const Sealed sealed = seal_bytes(plain, pool);
    std::mt19937 generator(threads);
    const auto pick = [&](std::size_t below) {
      return std::uniform_int_distribution<std::size_t>(0, below - 1)(generator);
    };
    for (int round = 0; round < 6; ++round) {
      const Opened opened = open_sealed(sealed, pool, kLevels[pick(2)]);
      const std::size_t hole = pick(plain.size() - 1000);
      Bytes before(hole), after(plain.size() - hole - 1000), late(1000);
      opened.source->defer(0, before.data(), before.size());
      opened.source->defer(hole + 1000, after.data(), after.size());
      opened.source->begin_deferred();
      for (int i = 0; i < 20; ++i) {
        const std::size_t pos = pick(plain.size());
        Bytes got(1 + pick(std::min<std::size_t>(plain.size() - pos, 1U << (4 + pick(19)))));
        opened.source->read(pos, got.data(), got.size());
        ASSERT_TRUE(std::equal(got.begin(), got.end(), plain.begin() + static_cast<long>(pos)));
      }
      opened.source->defer(hole, late.data(), late.size());
      opened.source->begin_deferred();
      opened.source->finish();
      Bytes all = before;
      all.insert(all.end(), late.begin(), late.end());
      all.insert(all.end(), after.begin(), after.end());
      ASSERT_EQ(all, plain) << "round " << round;
    }
  }
}

TEST(Ahead, FinishTellsOfTheLowestDamagedSegmentAndItsBytesStayUnwritten) {
  ThreadPool pool(3);
  const Bytes plain = noise(kFirst + 20 * kNext);
  Sealed sealed = seal_bytes(plain, pool);
  for (const VerifyLevel level : kLevels) {
    const Opened opened = open_sealed(sealed, pool, level);
    std::atomic<int> damaged{0};
    opened.blob->on_segment = [&](std::uint64_t index, Bytes& segment) {
      if (index == 7 || index == 15) {
        segment[100] ^= 1;
        ++damaged;
      }
      return true;
    };
    Bytes read(plain.size());
    opened.source->defer(0, read.data(), read.size());
    opened.source->begin_deferred();
    EXPECT_TRUE(comes_true([&] { return damaged > 0; }));
    for (int attempt = 0; attempt < 2; ++attempt) {
      expect_error(Status::corrupt, "segment 7 of", [&] { opened.source->finish(); });
    }
    const auto begin = read.begin() + static_cast<long>(kFirst + 6 * kNext);
    EXPECT_TRUE(std::all_of(begin, begin + static_cast<long>(kNext),
                            [](std::uint8_t byte) { return byte == 0; }));
  }
}

TEST(Ahead, NothingIsWrittenAfterDiscarding) {
  ThreadPool pool(4);
  const Bytes plain = noise(kFirst + 20 * kNext);
  const Sealed sealed = seal_bytes(plain, pool);
  for (int round = 0; round < 5; ++round) {
    const Opened opened = open_sealed(sealed, pool);
    auto read = std::make_unique<Bytes>(plain.size());
    opened.source->defer(0, read->data(), read->size());
    opened.source->begin_deferred();
    std::this_thread::sleep_for(std::chrono::microseconds(600 * round));
    opened.source->discard_deferred();
    read.reset();  // a write now would be seen by the address sanitizer
    opened.source->finish();
    EXPECT_EQ(opened.blob->fetched_least(), 1);
  }
}

TEST(Ahead, EndsWithItsSource) {
  ThreadPool pool(4);
  const Bytes plain = noise(kFirst + 20 * kNext);
  const Sealed sealed = seal_bytes(plain, pool);
  Bytes read(plain.size());
  Opened opened = open_sealed(sealed, pool);
  opened.source->defer(0, read.data(), read.size());
  opened.source->begin_deferred();
  opened.source.reset();
}

}  // namespace
}  // namespace ptsecure
