#include "libptsecure/base/number.hpp"

#include <charconv>

namespace ptsecure {

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  if (text.front() == '0' || number > kMaxNumber) return std::nullopt;
  return number;
}

}  // namespace ptsecure
