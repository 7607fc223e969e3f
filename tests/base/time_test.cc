#include "libptsecure/base/time.hpp"

#include <gtest/gtest.h>

namespace ptsecure {
namespace {

TEST(Time, IsReadAsItIsWritten) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(rfc3339(1769903999), "2026-01-31T23:59:59Z");
  EXPECT_EQ(rfc3339(253402300799), "9999-12-31T23:59:59Z");
  for (const std::time_t time : {std::time_t{0}, std::time_t{951782400}, std::time_t{1769903999},
                                 std::time_t{253402300799}, std::time_t{-1}}) {
    EXPECT_EQ(parse_rfc3339(rfc3339(time)), time) << time;
  }
}

TEST(Time, IsNow) {
  const std::time_t before = std::time(nullptr);
  const auto now = parse_rfc3339(now_rfc3339());
  ASSERT_TRUE(now);
  EXPECT_GE(*now, before);
  EXPECT_LE(*now, std::time(nullptr));
}

TEST(Time, RefusesOtherFormsAndDaysThatAreNone) {
  for (const char* text : {"",
                           "2026",
                           "2026-01-31",
                           "2026-01-31T23:59:59",
                           "2026-01-31T23:59:59z",
                           "2026-01-31t23:59:59Z",
                           "2026-01-31 23:59:59Z",
                           "2026-01-31T23:59:59+00:00",
                           "2026-01-31T23:59:59.5Z",
                           " 2026-01-31T23:59:59Z",
                           "2026-01-31T23:59:59Z ",
                           "2026-1-31T23:59:59Z",
                           "2026-01- 1T23:59:59Z",
                           "02026-01-31T23:59:59Z",
                           "2026-02-29T00:00:00Z",
                           "2026-04-31T00:00:00Z",
                           "2026-13-01T00:00:00Z",
                           "2026-00-01T00:00:00Z",
                           "2026-01-00T00:00:00Z",
                           "2026-01-31T24:00:00Z",
                           "2026-01-31T23:60:00Z",
                           "2026-12-31T23:59:60Z",
                           "10000-01-01T00:00:00Z"}) {
    EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
  }
  EXPECT_TRUE(parse_rfc3339("2028-02-29T00:00:00Z"));
  using std::string_literals::operator""s;
  EXPECT_EQ(parse_rfc3339("2026-01-31T23:59:59Z\0"s), std::nullopt);
}

}  // namespace
}  // namespace ptsecure
