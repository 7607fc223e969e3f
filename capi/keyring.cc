#include "capi/guard.hpp"
#include "capi/handles.hpp"
#include "capi/options.hpp"

using namespace ptsecure::capi;
using ptsecure::Keyring;

namespace {

constexpr std::size_t kFirstKeyringOptions = 24;
static_assert(sizeof(pts_keyring_options) >= kFirstKeyringOptions);

Keyring::LoadOptions load_options(const pts_keyring_options* given) {
  const pts_keyring_options known = known_part(given, pts_keyring_options PTS_KEYRING_OPTIONS_INIT,
                                               kFirstKeyringOptions, "pts_keyring_options");
  if (known.reserved != 0) {
    throw ptsecure::Error(ptsecure::Status::invalid_argument,
                          "pts_keyring_options.reserved must be 0");
  }
  Keyring::LoadOptions options;
  options.passphrase.reserve(64);  // so that a short one lies in secret memory too
  options.passphrase = text_or_empty(known.passphrase);
  options.allow_group_read = known.allow_group_read != 0;
  return options;
}

}  // namespace

void pts_keyring_options_init(pts_keyring_options* options) {
  if (options != nullptr) *options = pts_keyring_options PTS_KEYRING_OPTIONS_INIT;
}

pts_status pts_keyring_load(const char* path, const pts_keyring_options* options, pts_keyring** out,
                            pts_error* error) {
  return create(out, error, [&] {
    return new pts_keyring{Keyring::load(need_text(path, "path"), load_options(options))};
  });
}

pts_status pts_keyring_parse(const char* json, size_t size, const pts_keyring_options* options,
                             pts_keyring** out, pts_error* error) {
  return create(out, error, [&] {
    return new pts_keyring{Keyring::parse({need_text(json, "json"), size}, load_options(options))};
  });
}

pts_status pts_keyring_from_env(const char* variable, const pts_keyring_options* options,
                                pts_keyring** out, pts_error* error) {
  return create(out, error, [&] {
    return new pts_keyring{
        Keyring::from_env(need_text(variable, "variable"), load_options(options))};
  });
}

pts_status pts_keyring_generate(pts_keyring** out, pts_error* error) {
  return create(out, error, [] { return new pts_keyring{Keyring::generate()}; });
}

pts_status pts_keyring_split(const pts_keyring* self, const char* role, pts_keyring** out,
                             pts_error* error) {
  return create(out, error, [&] {
    const Keyring& ring = need(self, "self").ring;
    return new pts_keyring{ring.split(ptsecure::role_from_name(need_text(role, "role")))};
  });
}

pts_status pts_keyring_public(const pts_keyring* self, pts_keyring** out, pts_error* error) {
  return create(out, error, [&] { return new pts_keyring{need(self, "self").ring.public_part()}; });
}

pts_status pts_keyring_save(const pts_keyring* self, const char* path, const char* passphrase,
                            pts_error* error) {
  return guard(error, [&] {
    need(self, "self").ring.save(need_text(path, "path"), text_or_empty(passphrase));
  });
}

pts_status pts_keyring_export(const pts_keyring* self, pts_bytes** out, pts_error* error) {
  return create(out, error, [&] { return new pts_bytes(need(self, "self").ring.to_json()); });
}

pts_status pts_keyring_describe(const pts_keyring* self, char** out, pts_error* error) {
  return create(out, error, [&] { return new_text(need(self, "self").ring.describe_json()); });
}

void pts_keyring_destroy(pts_keyring** self) {
  destroy(self);
}
