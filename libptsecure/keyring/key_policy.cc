#include "libptsecure/keyring/key_policy.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "libptsecure/base/error.hpp"
#include "libptsecure/package/reference.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxPatterns = 256;
constexpr std::array kKinds = {RecordKind::manifest, RecordKind::alias, RecordKind::key,
                               RecordKind::apikey, RecordKind::log};

[[noreturn]] void malformed(const std::string& what) {
  throw Error(Status::corrupt, "the member \"ptsecure\" of a key is malformed: " + what);
}

std::vector<std::string> texts(const json& object, const char* member) {
  const auto found = object.find(member);
  if (found == object.end() || !found->is_array() || found->size() > kMaxPatterns ||
      !std::all_of(found->begin(), found->end(), [](const json& j) { return j.is_string(); })) {
    malformed(std::string(member) + " must be an array of at most 256 strings");
  }
  return found->get<std::vector<std::string>>();
}

}  // namespace

bool is_name_pattern(std::string_view text) noexcept {
  if (text == "*") return true;
  if (text.ends_with('*')) text.remove_suffix(1);
  return is_valid_name(text);
}

bool pattern_matches(std::string_view pattern, std::string_view name) noexcept {
  if (!pattern.ends_with('*')) return pattern == name;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

KeyPolicy KeyPolicy::from_json(const json& object) {
  if (!object.is_object()) malformed("it must be an object");
  KeyPolicy policy;
  for (const std::string& text : texts(object, "records")) {
    const auto kind = std::find_if(kKinds.begin(), kKinds.end(),
                                   [&text](RecordKind k) { return text == record_kind_name(k); });
    if (kind == kKinds.end()) {
      malformed("records may list manifest, alias, key, apikey and log");
    }
    policy.records_.push_back(*kind);
  }
  policy.names_ = texts(object, "names");
  if (!std::all_of(policy.names_.begin(), policy.names_.end(), is_name_pattern)) {
    malformed("each of names must be a model name, or the beginning of one followed by '*'");
  }
  return policy;
}

json KeyPolicy::to_json() const {
  json records = json::array();
  for (RecordKind kind : records_) records.push_back(record_kind_name(kind));
  return {{"records", std::move(records)}, {"names", names_}};
}

bool KeyPolicy::lists_any(std::span<const RecordKind> kinds) const {
  return std::find_first_of(records_.begin(), records_.end(), kinds.begin(), kinds.end()) !=
         records_.end();
}

bool KeyPolicy::allows(std::span<const RecordKind> kinds, std::string_view name) const {
  return lists_any(kinds) && std::any_of(names_.begin(), names_.end(), [name](const auto& pattern) {
           return pattern_matches(pattern, name);
         });
}

}  // namespace ptsecure
