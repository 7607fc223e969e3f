#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/keyring/keyring.hpp"

namespace ptsecure {

// A pattern of names is a model name, or the beginning of one followed by '*'; "*" is all names.
bool is_name_pattern(std::string_view text) noexcept;
bool pattern_matches(std::string_view pattern, std::string_view name) noexcept;

// What a signing key is trusted for: the member "ptsecure" of its JWK,
// {"records": ["manifest", "log"], "names": ["digits", "team-*"]}. An empty policy trusts it for
// nothing.
class KeyPolicy {
 public:
  KeyPolicy() = default;
  KeyPolicy(std::vector<RecordKind> records, std::vector<std::string> names)
      : records_(std::move(records)), names_(std::move(names)) {}
  // Throws Status::corrupt for a kind or pattern that isn't one: a slip of the pen must not become
  // a key that silently does nothing.
  static KeyPolicy from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;

  bool lists_any(std::span<const RecordKind> kinds) const;
  bool allows(std::span<const RecordKind> kinds, std::string_view name) const;

 private:
  std::vector<RecordKind> records_;
  std::vector<std::string> names_;
};

}  // namespace ptsecure
