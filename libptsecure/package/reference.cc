#include "libptsecure/package/reference.hpp"

#include <algorithm>
#include <charconv>

#include "libptsecure/base/error.hpp"

namespace ptsecure {
namespace {

constexpr std::size_t kMaxNameLength = 128;

// By hand, because <cctype> follows the locale.
bool is_alnum(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// The text as it may stand in a message: no control characters, no endless ones.
std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 60;
  std::string out = "\"";
  for (char c : text.substr(0, kShown)) out += c >= 0x20 && c < 0x7f && c != '"' ? c : '?';
  return out + (text.size() > kShown ? "...\"" : "\"");
}

std::uint64_t parse_version(std::string_view digits, std::string_view text) {
  std::uint64_t version = 0;
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, version);
  if (digits.empty() || digits.front() == '0' || result.ec != std::errc() || result.ptr != end ||
      version > kMaxVersion) {
    throw Error(Status::invalid_argument,
                "the version in the reference " + quoted(text) +
                    " must be a number from 1 to 9007199254740991 without leading zeros");
  }
  return version;
}

}  // namespace

bool is_valid_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kMaxNameLength && is_alnum(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

void check_name(std::string_view name, std::string_view what) {
  if (is_valid_name(name)) return;
  throw Error(
      Status::invalid_argument,
      "the " + std::string(what) + " " + quoted(name) +
          " must be 1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit");
}

Reference Reference::parse(std::string_view text) {
  Reference reference;
  const std::size_t separator = text.find_first_of("/@");
  reference.name = text.substr(0, separator);
  check_name(reference.name, "model name");
  if (separator == std::string_view::npos) return reference;
  const std::string_view rest = text.substr(separator + 1);
  if (text[separator] == '/') {
    reference.version = parse_version(rest, text);
  } else {
    check_name(rest, "alias");
    reference.alias = std::string(rest);
  }
  return reference;
}

std::string Reference::text() const {
  if (version) return name + "/" + std::to_string(*version);
  if (alias) return name + "@" + *alias;
  return name;
}

}  // namespace ptsecure
