#include "libptsecure/base/cancel.hpp"

#include <gtest/gtest.h>

namespace ptsecure {
namespace {

using namespace std::chrono_literals;

Status end_of(const CancelToken& token) {
  try {
    token.check();
  } catch (const Error& error) {
    return error.status();
  }
  return Status::ok;
}

TEST(CancelToken, OneThatNobodyHasNeverEnds) {
  const CancelToken token;
  EXPECT_FALSE(token.can_end());
  token.cancel();
  EXPECT_FALSE(token.cancelled());
  EXPECT_EQ(end_of(token), Status::ok);
}

TEST(CancelToken, CopiesShareTheFlag) {
  const CancelToken token = CancelToken::make();
  const CancelToken copy = token;
  const CancelToken limited = token.within(1h);
  EXPECT_TRUE(token.can_end());
  EXPECT_FALSE(limited.cancelled());
  copy.cancel();
  EXPECT_EQ(end_of(token), Status::cancelled);
  EXPECT_EQ(end_of(limited), Status::cancelled);
}

TEST(CancelToken, ADeadlineEndsTheCopyThatHasIt) {
  const CancelToken token = CancelToken::make();
  const CancelToken limited = token.within(20ms);
  EXPECT_TRUE(limited.can_end());
  EXPECT_FALSE(limited.cancelled());
  std::this_thread::sleep_for(25ms);
  EXPECT_TRUE(limited.cancelled());
  EXPECT_EQ(end_of(limited), Status::timeout);
  EXPECT_EQ(end_of(token), Status::ok);
  EXPECT_EQ(end_of(limited.within(1h)), Status::ok);
  token.cancel();
  EXPECT_EQ(end_of(limited), Status::cancelled);  // who cancels is told so, whatever the time
}

TEST(CancelToken, SleepsNoLongerThanItsDeadline) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(CancelToken().within(50ms).sleep_for(10s), Error);
  const auto slept = std::chrono::steady_clock::now() - start;
  EXPECT_GE(slept, 50ms);
  EXPECT_LT(slept, 1s);
  CancelToken().sleep_for(1ms);
}

}  // namespace
}  // namespace ptsecure
