#include "libptsecure/package/block_runs.hpp"

#include <gtest/gtest.h>

namespace ptsecure {
namespace {

TEST(BlockRuns, CoverEveryBlockOnceInOrder) {
  const std::vector<BlockRun> ranges = {{0, 1}, {3, 200}, {500, 517}};
  for (const std::uint64_t preferred : {0, 1, 8, 1000}) {
    for (const unsigned threads : {1U, 2U, 16U, 1000U}) {
      std::vector<std::uint64_t> blocks;
      for (const BlockRun& run : plan_runs(ranges, preferred, threads)) {
        EXPECT_LT(run.first, run.last);
        EXPECT_LE(run.last - run.first, std::max<std::uint64_t>(preferred, 1));
        for (std::uint64_t i = run.first; i < run.last; ++i) blocks.push_back(i);
      }
      std::vector<std::uint64_t> expected;
      for (const BlockRun& range : ranges) {
        for (std::uint64_t i = range.first; i < range.last; ++i) expected.push_back(i);
      }
      EXPECT_EQ(blocks, expected) << preferred << " " << threads;
    }
  }
  EXPECT_TRUE(plan_runs({}, 8, 4).empty());
}

TEST(BlockRuns, LongAtFirstAndShortAtTheEnd) {
  const BlockRun all{0, 512};
  const std::vector<BlockRun> runs = plan_runs({&all, 1}, 16, 4);
  EXPECT_EQ(runs.front().last, 16U);
  EXPECT_EQ(runs.back().last - runs.back().first, 1U);
  EXPECT_LT(runs.size(), 80U);
}

TEST(BlockRuns, TheLowestFailureIsKept) {
  LowestFailure failure;
  EXPECT_NO_THROW(failure.rethrow());
  EXPECT_FALSE(failure.ends(0));
  for (const std::uint64_t block : {7, 3, 9}) {
    try {
      throw Error(Status::corrupt, std::to_string(block));
    } catch (...) {
      failure.record(block);
    }
  }
  EXPECT_TRUE(failure.ends(3));
  EXPECT_FALSE(failure.ends(2));
  try {
    failure.rethrow();
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "3");
  }
}

}  // namespace
}  // namespace ptsecure
