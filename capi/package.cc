#include "capi/calls.hpp"
#include "capi/guard.hpp"
#include "capi/json.hpp"

using namespace ptsecure::capi;
using ptsecure::Error;
using ptsecure::OpenOptions;
using ptsecure::Package;
using ptsecure::Status;

namespace {

const Package& package_of(const pts_package* self) {
  return *need(self, "self").package;
}

}  // namespace

pts_status pts_store_fetch(pts_store* self, const char* reference, const pts_keyring* keys,
                           const pts_open_options* options, const pts_call* call, pts_package** out,
                           pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    const ptsecure::Keyring& ring = need(keys, "keys").ring;
    Call known(call);
    auto package =
        registry.fetch(need_text(reference, "reference"), ring, open_options(options, known));
    const std::uint64_t size = package->manifest().own_payload().plaintext_size;
    return new pts_package{std::move(package), size};
  });
}

const char* pts_package_name(const pts_package* self) {
  return self == nullptr ? nullptr : self->package->manifest().name.c_str();
}

uint64_t pts_package_version(const pts_package* self) {
  return self == nullptr ? 0 : self->package->manifest().version;
}

const char* pts_package_manifest(const pts_package* self) {
  return self == nullptr ? nullptr : self->package->manifest_json().c_str();
}

uint64_t pts_package_size(const pts_package* self) {
  return self == nullptr ? 0 : self->size;
}

pts_status pts_package_example(const pts_package* self, char** out, pts_error* error) {
  return create(out, error, [&] { return new_text(package_of(self).example_json()); });
}

pts_status pts_package_decrypt(pts_package* self, const pts_open_options* options,
                               const pts_call* call, pts_bytes** out, pts_error* error) {
  return create(out, error, [&] {
    const Package& package = package_of(self);
    Call known(call);
    const OpenOptions opening = open_options(options, known);
    auto bytes = std::make_unique<pts_bytes>(self->size);
    package.decrypt(opening, bytes->span());
    known.finish();
    return bytes.release();
  });
}

pts_status pts_package_stream(pts_package* self, const pts_open_options* options,
                              const pts_call* call, pts_sink_fn sink, void* user,
                              pts_error* error) {
  return guard(error, [&] {
    const Package& package = package_of(self);
    if (sink == nullptr) throw_null("sink");
    Call known(call);
    package.stream(open_options(options, known), [&](std::uint64_t, ptsecure::ByteView plain) {
      if (sink(user, plain.data(), plain.size()) != 0) {
        throw Error(Status::cancelled, "the sink callback ended the decryption");
      }
    });
    known.finish();
  });
}

pts_status pts_package_export(pts_package* self, const char* folder,
                              const pts_open_options* options, const pts_call* call,
                              pts_error* error) {
  return guard(error, [&] {
    const Package& package = package_of(self);
    Call known(call);
    package.export_to(need_text(folder, "folder"), open_options(options, known));
    known.finish();
  });
}

void pts_package_destroy(pts_package** self) {
  destroy(self);
}

pts_status pts_store_verify(pts_store* self, const char* reference, const pts_keyring* keys,
                            const pts_open_options* options, const pts_call* call,
                            pts_check_fn check, void* user, pts_error* error) {
  return guard(error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    const ptsecure::Keyring& ring = need(keys, "keys").ring;
    need_text(reference, "reference");
    Call known(call);
    const std::optional<Error> failed =
        registry.verify(reference, ring, open_options(options, known), check_sink(check, user));
    if (failed) throw Error(*failed);
    known.finish();
  });
}

pts_status pts_store_show(pts_store* self, const char* reference, const pts_keyring* keys,
                          const pts_call* call, char** out, pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    const ptsecure::Keyring& ring = need(keys, "keys").ring;
    return new_json(
        to_json(registry.show(need_text(reference, "reference"), ring, token_of(call))));
  });
}
