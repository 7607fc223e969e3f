#include "capi/calls.hpp"
#include "capi/guard.hpp"

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
                           const pts_open_options* options, pts_package** out, pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    const ptsecure::Keyring& ring = need(keys, "keys").ring;
    auto package = registry.fetch(need_text(reference, "reference"), ring, open_options(options));
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

pts_status pts_package_decrypt(pts_package* self, const pts_open_options* options, pts_bytes** out,
                               pts_progress_fn progress, void* user, pts_error* error) {
  return create(out, error, [&] {
    const Package& package = package_of(self);
    ProgressRelay relay(progress, user);
    const OpenOptions known = open_options(options, relay);
    auto bytes = std::make_unique<pts_bytes>(self->size);
    package.decrypt(known, bytes->span());
    relay.finish();
    return bytes.release();
  });
}

pts_status pts_package_stream(pts_package* self, const pts_open_options* options, pts_sink_fn sink,
                              void* user, pts_error* error) {
  return guard(error, [&] {
    const Package& package = package_of(self);
    if (sink == nullptr) throw_null("sink");
    ProgressRelay relay(nullptr, nullptr);
    package.stream(open_options(options, relay), [&](std::uint64_t, ptsecure::ByteView plain) {
      if (sink(user, plain.data(), plain.size()) != 0) {
        throw Error(Status::cancelled, "the sink callback ended the decryption");
      }
    });
  });
}

pts_status pts_package_export(pts_package* self, const char* folder,
                              const pts_open_options* options, pts_progress_fn progress, void* user,
                              pts_error* error) {
  return guard(error, [&] {
    const Package& package = package_of(self);
    ProgressRelay relay(progress, user);
    package.export_to(need_text(folder, "folder"), open_options(options, relay));
    relay.finish();
  });
}

void pts_package_destroy(pts_package** self) {
  destroy(self);
}

pts_status pts_store_verify(pts_store* self, const char* reference, const pts_keyring* keys,
                            const pts_open_options* options, pts_check_fn check,
                            pts_progress_fn progress, void* user, pts_error* error) {
  return guard(error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    const ptsecure::Keyring& ring = need(keys, "keys").ring;
    need_text(reference, "reference");
    ProgressRelay relay(progress, user);
    const std::optional<Error> failed =
        registry.verify(reference, ring, open_options(options, relay), check_sink(check, user));
    if (failed) throw Error(*failed);
    relay.finish();
  });
}

pts_status pts_store_show(pts_store* self, const char* reference, const pts_keyring* keys,
                          char** out, pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(self, "self").registry;
    const ptsecure::Keyring& ring = need(keys, "keys").ring;
    return new_text(registry.show_json(need_text(reference, "reference"), ring));
  });
}
