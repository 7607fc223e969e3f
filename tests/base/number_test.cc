#include "libptsecure/base/number.hpp"

#include <gtest/gtest.h>

namespace ptsecure {
namespace {

TEST(Number, IsWholeAndFromOneToTwoToThe53) {
  EXPECT_EQ(kMaxNumber, 9007199254740991U);
  EXPECT_EQ(parse_number("1"), 1U);
  EXPECT_EQ(parse_number("10"), 10U);
  EXPECT_EQ(parse_number("9007199254740991"), kMaxNumber);
}

TEST(Number, RefusesAnyOtherText) {
  for (const char* text :
       {"", "0", "01", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "a", "9007199254740992",
        "18446744073709551615", "18446744073709551617", "\xd9\xa1"}) {
    EXPECT_EQ(parse_number(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_number(std::string_view("1\0", 2)), std::nullopt);
}

}  // namespace
}  // namespace ptsecure
