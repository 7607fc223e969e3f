#include <charconv>
#include <optional>

#include "capi/calls.hpp"
#include "capi/guard.hpp"
#include "capi/options.hpp"

using namespace ptsecure::capi;
using ptsecure::Error;
using ptsecure::ImportOptions;
using ptsecure::Keyring;
using ptsecure::PlainInput;
using ptsecure::PublishOptions;
using ptsecure::Registry;
using ptsecure::Status;

namespace {

constexpr std::size_t kFirstImportOptions = 40;
static_assert(sizeof(pts_import_options) >= kFirstImportOptions);

// What every publish is given.
struct Place {
  const Registry& registry;
  const char* name;
  const Keyring& keys;
};

Place place(const pts_store* self, const char* name, const pts_keyring* keys) {
  return {need(self, "self").registry, need_text(name, "name"), need(keys, "keys").ring};
}

// A publish, import or copy: `run` gets the options and returns the version. When only the alias
// failed, the number is handed out all the same.
template <typename Run>
pts_status publish(const pts_publish_options* options, const pts_call* call,
                   std::uint64_t* out_version, pts_error* error, Run&& run) {
  if (out_version != nullptr) *out_version = 0;
  return guard(error, [&] {
    Call known(call);
    std::uint64_t version = 0;
    try {
      version = run(publish_options(options, known));
    } catch (const ptsecure::AliasError& e) {
      if (out_version != nullptr) *out_version = e.version();
      throw;
    }
    if (out_version != nullptr) *out_version = version;
    known.finish();
  });
}

std::optional<ptsecure::Sha256Digest> digest_of_hex(const char* hex) {
  if (hex == nullptr) return std::nullopt;
  const std::string_view text = hex;
  ptsecure::Sha256Digest digest{};
  bool good = text.size() == 2 * digest.size();
  for (std::size_t i = 0; good && i < digest.size(); ++i) {
    const char* begin = text.data() + 2 * i;
    const auto parsed = std::from_chars(begin, begin + 2, digest[i], 16);
    good = parsed.ec == std::errc() && parsed.ptr == begin + 2;
  }
  if (!good) throw Error(Status::invalid_argument, "sha256 must be 64 hex digits");
  return digest;
}

ImportOptions import_options(const pts_import_options* given, const ptsecure::CancelToken& cancel) {
  const pts_import_options known =
      known_part(&need(given, "import_options"), pts_import_options PTS_IMPORT_OPTIONS_INIT,
                 kFirstImportOptions, "pts_import_options");
  if ((known.jwk == nullptr) == (known.jwk_source == nullptr)) {
    throw Error(Status::invalid_argument,
                "the JWK that opens the JWE is given by one of jwk and jwk_source");
  }
  ImportOptions options;
  if (known.jwk != nullptr) {
    options.jwk = {known.jwk, known.jwk_size};
  } else {
    options.jwk_input = &known.jwk_source->source.only(cancel);
  }
  options.plaintext = digest_of_hex(known.sha256);
  return options;
}

}  // namespace

pts_status pts_store_publish(pts_store* self, const char* name, pts_source* source,
                             const pts_keyring* keys, const pts_publish_options* options,
                             const pts_call* call, uint64_t* out_version, pts_error* error) {
  return publish(options, call, out_version, error, [&](const PublishOptions& known) {
    const Place to = place(self, name, keys);
    PlainInput& input = need(source, "source").source.only(known.cancel);
    return to.registry.publish(to.name, input, to.keys, known);
  });
}

void pts_import_options_init(pts_import_options* options) {
  if (options != nullptr) *options = pts_import_options PTS_IMPORT_OPTIONS_INIT;
}

pts_status pts_store_import(pts_store* self, const char* name, pts_source* source,
                            const pts_keyring* keys, const pts_import_options* import_options,
                            const pts_publish_options* options, const pts_call* call,
                            uint64_t* out_version, pts_error* error) {
  return publish(options, call, out_version, error, [&](const PublishOptions& known) {
    const Place to = place(self, name, keys);
    PlainInput& text = need(source, "source").source.only(known.cancel);
    const ImportOptions import = ::import_options(import_options, known.cancel);
    return to.registry.import_jwe(to.name, text, import, to.keys, known);
  });
}

pts_status pts_store_copy(pts_store* self, const char* reference, const pts_keyring* keys,
                          pts_store* target, const pts_keyring* target_keys,
                          const pts_publish_options* options, const pts_call* call,
                          uint64_t* out_version, pts_error* error) {
  return publish(options, call, out_version, error, [&](const PublishOptions& known) {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    const Registry& to = need(target, "target").registry;
    const Keyring& to_ring = need(target_keys, "target_keys").ring;
    return registry.copy(need_text(reference, "reference"), ring, to, to_ring, known);
  });
}
