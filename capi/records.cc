#include <nlohmann/json.hpp>
#include <string_view>

#include "capi/guard.hpp"
#include "capi/handles.hpp"

using namespace ptsecure::capi;
using ptsecure::CancelToken;
using ptsecure::Error;
using ptsecure::Keyring;
using ptsecure::KeyStatus;
using ptsecure::Registry;
using ptsecure::Status;

namespace {

KeyStatus key_status(std::string_view name) {
  if (name == "enabled") return KeyStatus::enabled;
  if (name == "disabled") return KeyStatus::disabled;
  if (name == "destroyed") return KeyStatus::destroyed;
  throw Error(Status::invalid_argument,
              "a key's status is enabled, disabled or destroyed, not '" + std::string(name) + "'");
}

std::string reason_text(const char* reason) {
  return std::string(check_utf8(text_or_empty(reason), "reason"));
}

std::string aliases_json(const std::vector<ptsecure::AliasInfo>& aliases) {
  auto list = nlohmann::ordered_json::array();
  for (const ptsecure::AliasInfo& alias : aliases) {
    list.push_back({{"alias", alias.alias},
                    {"version", alias.version},
                    {"sequence", alias.sequence},
                    {"time", alias.time},
                    {"reason", alias.reason}});
  }
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

pts_status pts_store_set_alias(pts_store* self, const char* name, const char* alias,
                               uint64_t version, const char* reason, const pts_keyring* keys,
                               pts_error* error) {
  return guard(error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    registry.set_alias(need_text(name, "name"), need_text(alias, "alias"), version,
                       reason_text(reason), ring, CancelToken());
  });
}

pts_status pts_store_list_aliases(pts_store* self, const char* name, const pts_keyring* keys,
                                  char** out, pts_error* error) {
  return create(out, error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    return new_text(aliases_json(registry.aliases(need_text(name, "name"), ring, CancelToken())));
  });
}

pts_status pts_store_set_key_status(pts_store* self, const char* reference, const char* status,
                                    const char* reason, const pts_keyring* keys, pts_error* error) {
  return guard(error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    registry.set_key_status(need_text(reference, "reference"),
                            key_status(need_text(status, "status")), reason_text(reason), ring,
                            CancelToken());
  });
}
