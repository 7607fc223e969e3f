#include "libptsecure/package/segment_runs.hpp"

#include <gtest/gtest.h>

namespace ptsecure {
namespace {

TEST(SegmentRuns, CoverEverySegmentOnceInOrder) {
  const std::vector<SegmentRun> ranges = {{0, 1}, {3, 200}, {500, 517}};
  for (const std::uint64_t preferred : {0, 1, 8, 1000}) {
    for (const unsigned threads : {1U, 2U, 16U, 1000U}) {
      std::vector<std::uint64_t> segments;
      for (const SegmentRun& run : plan_runs(ranges, preferred, threads)) {
        EXPECT_LT(run.first, run.last);
        EXPECT_LE(run.last - run.first, std::max<std::uint64_t>(preferred, 1));
        for (std::uint64_t i = run.first; i < run.last; ++i) segments.push_back(i);
      }
      std::vector<std::uint64_t> expected;
      for (const SegmentRun& range : ranges) {
        for (std::uint64_t i = range.first; i < range.last; ++i) expected.push_back(i);
      }
      EXPECT_EQ(segments, expected) << preferred << " " << threads;
    }
  }
  EXPECT_TRUE(plan_runs({}, 8, 4).empty());
}

TEST(SegmentRuns, LongAtFirstAndShortAtTheEnd) {
  const SegmentRun all{0, 512};
  const std::vector<SegmentRun> runs = plan_runs({&all, 1}, 16, 4);
  EXPECT_EQ(runs.front().last, 16U);
  EXPECT_EQ(runs.back().last - runs.back().first, 1U);
  EXPECT_LT(runs.size(), 80U);
}

TEST(SegmentRuns, TheLowestFailureIsKept) {
  LowestFailure failure;
  EXPECT_NO_THROW(failure.rethrow());
  EXPECT_FALSE(failure.ends(0));
  for (const std::uint64_t segment : {7, 3, 9}) {
    try {
      throw Error(Status::corrupt, std::to_string(segment));
    } catch (...) {
      failure.record(segment);
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
