#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>

// IEEE binary16 and bfloat16, to and from the types C++ has.
namespace ptsecure {

inline float half_to_float(std::uint16_t half) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  }
  if (magnitude >= 0x400u) {
    return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
  }
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
  return sign != 0 ? -subnormal : subnormal;
}

inline float bfloat16_to_float(std::uint16_t value) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

// 2^exponent; only for exponents of normal doubles.
inline double power_of_two(int exponent) noexcept {
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

// The exponent of a normal double; less than that of any for a subnormal one or 0.
inline int exponent_of(double value) noexcept {
  return static_cast<int>(std::bit_cast<std::uint64_t>(value) >> 52 & 0x7ffu) - 1023;
}

// Rounds a finite value to the nearest one with `mantissa_bits` stored bits and the given smallest
// normal exponent, ties to even.
inline double round_to_precision(double value, int mantissa_bits, int min_exponent) noexcept {
  const int shift = mantissa_bits - std::max(exponent_of(value), min_exponent);
  return std::nearbyint(value * power_of_two(shift)) * power_of_two(-shift);
}

// Nothing when a finite value is too large for the type. Infinities and NaN are kept.
inline std::optional<std::uint16_t> half_from_double(double value) noexcept {
  const std::uint16_t sign = std::signbit(value) ? 0x8000u : 0;
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (std::isinf(value)) return static_cast<std::uint16_t>(sign | 0x7c00u);
  const double rounded = std::fabs(round_to_precision(value, 10, -14));
  if (rounded > 65504.0) return std::nullopt;
  if (rounded < 0x1p-14) {
    return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(rounded * 0x1p24));
  }
  const int exponent = exponent_of(rounded);
  const auto fraction = static_cast<std::uint16_t>(rounded * power_of_two(10 - exponent) - 1024.0);
  return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(exponent + 15) << 10 |
                                    fraction);
}

inline std::optional<std::uint16_t> bfloat16_from_double(double value) noexcept {
  if (std::isnan(value)) return static_cast<std::uint16_t>(std::signbit(value) ? 0xffc0u : 0x7fc0u);
  const double rounded = std::isinf(value) ? value : round_to_precision(value, 7, -126);
  if (std::isfinite(value) && std::fabs(rounded) > 0x1.fep127) return std::nullopt;
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(rounded)) >>
                                    16);
}

}  // namespace ptsecure
