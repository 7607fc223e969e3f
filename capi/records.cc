#include <algorithm>
#include <charconv>
#include <string_view>

#include "capi/calls.hpp"
#include "capi/guard.hpp"
#include "capi/json.hpp"

using namespace ptsecure::capi;
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

// "12:DIGEST"; NULL = none.
std::optional<ptsecure::RecordMark> head_of(const char* text) {
  if (text == nullptr) return std::nullopt;
  const std::string_view head = text;
  const std::size_t colon = std::min(head.find(':'), head.size());
  ptsecure::RecordMark mark;
  const auto read = std::from_chars(head.data(), head.data() + colon, mark.sequence);
  if (read.ec != std::errc() || read.ptr != head.data() + colon || colon == head.size() ||
      mark.sequence == 0) {
    throw Error(Status::invalid_argument,
                "a head of the log is written SEQUENCE:DIGEST, as `log verify` prints it");
  }
  mark.digest = ptsecure::parse_digest(head.substr(colon + 1), "the digest of a head");
  return mark;
}

}  // namespace

pts_status pts_store_set_alias(pts_store* self, const char* name, const char* alias,
                               uint64_t version, const char* reason, const pts_keyring* keys,
                               const pts_call* call, pts_error* error) {
  return guard(error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    registry.set_alias(need_text(name, "name"), need_text(alias, "alias"), version,
                       reason_text(reason), ring, token_of(call));
  });
}

pts_status pts_store_rollback_alias(pts_store* self, const char* name, const char* alias,
                                    uint64_t version, const char* reason, const pts_keyring* keys,
                                    const pts_call* call, uint64_t* out_version, pts_error* error) {
  if (out_version != nullptr) *out_version = 0;
  return guard(error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    const std::uint64_t now =
        registry.roll_back(need_text(name, "name"), text_or_empty(alias), version,
                           reason_text(reason), ring, token_of(call));
    if (out_version != nullptr) *out_version = now;
  });
}

pts_status pts_store_delete_alias(pts_store* self, const char* name, const char* alias,
                                  const char* reason, const pts_keyring* keys, const pts_call* call,
                                  pts_error* error) {
  return guard(error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    registry.delete_alias(need_text(name, "name"), need_text(alias, "alias"), reason_text(reason),
                          ring, token_of(call));
  });
}

pts_status pts_store_show_alias(pts_store* self, const char* name, const char* alias,
                                const pts_keyring* keys, const pts_call* call, char** out,
                                pts_error* error) {
  return create(out, error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    return new_json(to_json(
        registry.alias(need_text(name, "name"), need_text(alias, "alias"), ring, token_of(call))));
  });
}

pts_status pts_store_alias_history(pts_store* self, const char* name, const char* alias,
                                   const pts_keyring* keys, const pts_call* call, char** out,
                                   pts_error* error) {
  return create(out, error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    return new_json(to_json(registry.alias_history(
        need_text(name, "name"), need_text(alias, "alias"), ring, token_of(call))));
  });
}

pts_status pts_store_log(pts_store* self, const pts_keyring* keys, uint64_t first, uint64_t limit,
                         const pts_call* call, char** out, pts_error* error) {
  return create(out, error, [&] {
    const Registry& registry = need(self, "self").registry;
    return new_json(to_json(registry.log(need(keys, "keys").ring, first, limit, token_of(call))));
  });
}

pts_status pts_store_verify_log(pts_store* self, const pts_keyring* keys, const char* head,
                                const pts_call* call, pts_check_fn check, void* user,
                                pts_error* error) {
  return guard(error, [&] {
    const Registry& registry = need(self, "self").registry;
    const std::optional<Error> failed = registry.verify_log(
        need(keys, "keys").ring, head_of(head), check_sink(check, user), token_of(call));
    if (failed) throw Error(*failed);
  });
}

pts_status pts_store_list_aliases(pts_store* self, const char* name, const pts_keyring* keys,
                                  const pts_call* call, char** out, pts_error* error) {
  return create(out, error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    return new_json(to_json(registry.aliases(need_text(name, "name"), ring, token_of(call))));
  });
}

pts_status pts_store_set_key_status(pts_store* self, const char* reference, const char* status,
                                    const char* reason, const pts_keyring* keys,
                                    const pts_call* call, pts_error* error) {
  return guard(error, [&] {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    registry.set_key_status(need_text(reference, "reference"),
                            key_status(need_text(status, "status")), reason_text(reason), ring,
                            token_of(call));
  });
}
