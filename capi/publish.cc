#include "capi/calls.hpp"
#include "capi/guard.hpp"

using namespace ptsecure::capi;
using ptsecure::Error;
using ptsecure::Keyring;
using ptsecure::PlainInput;
using ptsecure::Registry;
using ptsecure::Status;

namespace {

// A publish or copy: `run` gets the options and returns the version. When only the alias failed,
// the number is handed out all the same.
template <typename Run>
pts_status publish(const pts_publish_options* options, std::uint64_t* out_version,
                   pts_progress_fn progress, void* user, pts_error* error, Run&& run) {
  if (out_version != nullptr) *out_version = 0;
  return guard(error, [&] {
    ProgressRelay relay(progress, user);
    std::uint64_t version = 0;
    try {
      version = run(publish_options(options, relay));
    } catch (const ptsecure::AliasError& e) {
      if (out_version != nullptr) *out_version = e.version();
      throw;
    }
    if (out_version != nullptr) *out_version = version;
    relay.finish();
  });
}

std::unique_ptr<PlainInput> reader(std::uint64_t size, pts_read_fn read, void* user) {
  return ptsecure::callback_input(
      size, [read, user](std::uint64_t position, void* data, std::size_t count) {
        if (read(user, position, data, count) != 0) {
          throw Error(Status::io, "the read callback failed at byte " + std::to_string(position));
        }
      });
}

}  // namespace

pts_status pts_store_publish_file(pts_store* self, const char* name, const char* path,
                                  const pts_keyring* keys, const pts_publish_options* options,
                                  uint64_t* out_version, pts_progress_fn progress, void* user,
                                  pts_error* error) {
  return publish(options, out_version, progress, user, error,
                 [&](const ptsecure::PublishOptions& known) {
                   const Registry& registry = need(self, "self").registry;
                   const Keyring& ring = need(keys, "keys").ring;
                   need_text(name, "name");
                   const auto input = ptsecure::file_input(need_text(path, "path"));
                   return registry.publish(name, *input, ring, known);
                 });
}

pts_status pts_store_publish_bytes(pts_store* self, const char* name, const void* data, size_t size,
                                   const pts_keyring* keys, const pts_publish_options* options,
                                   uint64_t* out_version, pts_progress_fn progress, void* user,
                                   pts_error* error) {
  return publish(
      options, out_version, progress, user, error, [&](const ptsecure::PublishOptions& known) {
        const Registry& registry = need(self, "self").registry;
        const Keyring& ring = need(keys, "keys").ring;
        need_text(name, "name");
        if (size != 0 && data == nullptr) throw_null("data");
        const auto input = ptsecure::memory_input({static_cast<const std::uint8_t*>(data), size});
        return registry.publish(name, *input, ring, known);
      });
}

pts_status pts_store_publish_read(pts_store* self, const char* name, uint64_t size,
                                  const pts_keyring* keys, const pts_publish_options* options,
                                  uint64_t* out_version, pts_read_fn read, pts_progress_fn progress,
                                  void* user, pts_error* error) {
  return publish(options, out_version, progress, user, error,
                 [&](const ptsecure::PublishOptions& known) {
                   const Registry& registry = need(self, "self").registry;
                   const Keyring& ring = need(keys, "keys").ring;
                   need_text(name, "name");
                   if (read == nullptr) throw_null("read");
                   const auto input = reader(size, read, user);
                   return registry.publish(name, *input, ring, known);
                 });
}

pts_status pts_store_copy(pts_store* self, const char* reference, const pts_keyring* keys,
                          pts_store* target, const pts_keyring* target_keys,
                          const pts_publish_options* options, uint64_t* out_version,
                          pts_progress_fn progress, void* user, pts_error* error) {
  return publish(
      options, out_version, progress, user, error, [&](const ptsecure::PublishOptions& known) {
        const Registry& registry = need(self, "self").registry;
        const Keyring& ring = need(keys, "keys").ring;
        const Registry& to = need(target, "target").registry;
        const Keyring& to_ring = need(target_keys, "target_keys").ring;
        return registry.copy(need_text(reference, "reference"), ring, to, to_ring, known);
      });
}
