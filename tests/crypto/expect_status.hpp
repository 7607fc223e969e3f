#pragma once

#include <gtest/gtest.h>

#include <string>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/text.hpp"

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

// Throws where the text is no hex.
inline Bytes from_hex(std::string_view text) {
  return parse_hex(text).value();
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
