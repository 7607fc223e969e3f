#pragma once

#include <gtest/gtest.h>

#include <string>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/error.hpp"

// Passes when the statement throws ptsecure::Error with that status and a message.
#define EXPECT_STATUS(expected, ...)                                              \
  try {                                                                           \
    __VA_ARGS__;                                                                  \
    ADD_FAILURE() << #__VA_ARGS__ << " did not fail";                             \
  } catch (const ::ptsecure::Error& error) {                                      \
    EXPECT_EQ(::ptsecure::status_name(error.status()),                            \
              std::string(::ptsecure::status_name(::ptsecure::Status::expected))) \
        << error.what();                                                          \
    EXPECT_FALSE(std::string(error.what()).empty());                              \
  }

namespace ptsecure::test {

inline Bytes from_hex(std::string_view hex) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

inline std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

// Status of what a call throws; ok when it doesn't throw.
template <typename Call>
Status status_of(Call&& call) {
  try {
    call();
    return Status::ok;
  } catch (const Error& error) {
    return error.status();
  }
}

}  // namespace ptsecure::test
