#include "libptsecure/value/half.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>

namespace ptsecure {
namespace {

TEST(Half, EveryValueGoesThroughDouble) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    const auto back = half_from_double(static_cast<double>(value));
    ASSERT_TRUE(back.has_value()) << bits;
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(half_to_float(*back)));
    else
      EXPECT_EQ(*back, half);
  }
}

TEST(Half, KnownValues) {
  EXPECT_EQ(half_to_float(0x3c00), 1.0f);
  EXPECT_EQ(half_to_float(0xc000), -2.0f);
  EXPECT_EQ(half_to_float(0x7bff), 65504.0f);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24f);
  EXPECT_EQ(half_to_float(0x03ff), 1023 * 0x1p-24f);
  EXPECT_TRUE(std::signbit(half_to_float(0x8000)));
  EXPECT_TRUE(std::isinf(half_to_float(0x7c00)));
}

TEST(Half, RoundsOnceToTheNearestTiesToEven) {
  for (std::uint16_t half = 0; half < 0x7bff; ++half) {
    const double low = static_cast<double>(half_to_float(half));
    const double high = static_cast<double>(half_to_float(static_cast<std::uint16_t>(half + 1)));
    const double middle = (low + high) / 2;
    const std::uint16_t even = half % 2 == 0 ? half : static_cast<std::uint16_t>(half + 1);
    ASSERT_EQ(half_from_double(middle), even) << half;
    ASSERT_EQ(half_from_double(std::nextafter(middle, 0.0)), half);
    ASSERT_EQ(half_from_double(std::nextafter(middle, 1e9)), half + 1);
  }
}

TEST(Half, RefusesWhatIsTooLarge) {
  EXPECT_EQ(half_from_double(65519.999), 0x7bff);
  EXPECT_EQ(half_from_double(65520.0), std::nullopt);
  EXPECT_EQ(half_from_double(-1e300), std::nullopt);
  EXPECT_EQ(half_from_double(std::numeric_limits<double>::infinity()), 0x7c00);
  EXPECT_EQ(half_from_double(1e-300), 0);
  EXPECT_EQ(half_from_double(std::numeric_limits<double>::denorm_min()), 0);
  EXPECT_EQ(half_from_double(-0.0), 0x8000);
}

TEST(BFloat16, EveryValueGoesThroughDouble) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = bfloat16_to_float(static_cast<std::uint16_t>(bits));
    const auto back = bfloat16_from_double(static_cast<double>(value));
    ASSERT_TRUE(back.has_value()) << bits;
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(bfloat16_to_float(*back)));
    else
      EXPECT_EQ(*back, bits);
  }
}

TEST(BFloat16, RoundsOnceToTheNearestTiesToEven) {
  for (std::uint16_t bits = 0; bits < 0x7f7f; ++bits) {
    const double low = static_cast<double>(bfloat16_to_float(bits));
    const double high =
        static_cast<double>(bfloat16_to_float(static_cast<std::uint16_t>(bits + 1)));
    const double middle = (low + high) / 2;
    const std::uint16_t even = bits % 2 == 0 ? bits : static_cast<std::uint16_t>(bits + 1);
    ASSERT_EQ(bfloat16_from_double(middle), even) << bits;
    ASSERT_EQ(bfloat16_from_double(std::nextafter(middle, 0.0)), bits);
  }
  EXPECT_EQ(bfloat16_from_double(3.4e38), std::nullopt);
  EXPECT_EQ(bfloat16_from_double(1e300), std::nullopt);
  EXPECT_EQ(bfloat16_from_double(-std::numeric_limits<double>::infinity()), 0xff80);
}

}  // namespace
}  // namespace ptsecure
