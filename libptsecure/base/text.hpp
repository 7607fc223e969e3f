#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "libptsecure/base/bytes.hpp"

namespace ptsecure {

// ASCII only, whatever the locale, which <cctype> follows.
constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
std::string lower_case(std::string_view text);

// Length of the UTF-8 character that `text` begins with (RFC 3629: shortest form, no surrogates);
// 0 when it begins with none.
std::size_t utf8_length(std::string_view text) noexcept;

// Of one UTF-8 character: U+0000 to U+001F, U+007F to U+009F, and the line and paragraph separators
// U+2028 and U+2029.
bool is_control(std::string_view character) noexcept;
// Whether one of them is in the text, which need not be UTF-8.
bool has_control(std::string_view text) noexcept;

// A name that came from outside, fit for a message: at most 64 bytes of it, nothing unprintable.
std::string printable_name(std::string_view name);

// Lower-case hexadecimal digits.
std::string hex(ByteView bytes);
// Digits of either case, two a byte; nullopt for anything else.
std::optional<Bytes> parse_hex(std::string_view text);

// The items' texts with the separator between them; `text` makes a text of an item.
template <typename Range, typename Text = std::identity>
std::string join(const Range& items, std::string_view separator, const Text& text = {}) {
  std::string out;
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += separator;
    out += std::invoke(text, item);
    first = false;
  }
  return out;
}

}  // namespace ptsecure
