#include "libptsecure/package/reference.hpp"

#include <algorithm>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/number.hpp"
#include "libptsecure/base/text.hpp"
#include "libptsecure/store/component.hpp"

namespace ptsecure {
namespace {

constexpr std::size_t kMaxNameLength = 128;

bool is_name_character(char c) noexcept {
  return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
}

std::string quoted(std::string_view text) {
  return "\"" + printable_name(text) + "\"";
}

std::uint64_t parse_version(std::string_view digits, std::string_view text) {
  const auto version = parse_number(digits);
  if (!version) {
    throw Error(Status::invalid_argument,
                "the version in the reference " + quoted(text) +
                    " must be a number from 1 to 9007199254740991 without leading zeros");
  }
  return *version;
}

}  // namespace

bool is_valid_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kMaxNameLength &&
         (is_letter(name.front()) || is_digit(name.front())) &&
         std::all_of(name.begin(), name.end(), is_name_character);
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
  if (version) return version_text(name, *version);
  if (alias) return name + "@" + *alias;
  return name;
}

}  // namespace ptsecure
