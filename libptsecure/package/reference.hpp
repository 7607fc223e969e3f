#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ptsecure {

// The name rule of models and aliases: [A-Za-z0-9][A-Za-z0-9._-]{0,127}.
bool is_valid_name(std::string_view name) noexcept;
// Throws Status::invalid_argument naming `what` ("model name", "alias") and the rule.
void check_name(std::string_view name, std::string_view what);

// "name" (the newest version), "name/7" or "name@alias".
struct Reference {
  std::string name;
  std::optional<std::uint64_t> version;
  std::optional<std::string> alias;

  // Versions are decimal, 1..2^53-1, without leading zeros. Throws Status::invalid_argument.
  static Reference parse(std::string_view text);
  std::string text() const;
};

}  // namespace ptsecure
