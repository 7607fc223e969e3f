#include <charconv>
#include <optional>

#include "capi/calls.hpp"
#include "capi/guard.hpp"
#include "capi/options.hpp"

using namespace ptsecure::capi;
using ptsecure::Error;
using ptsecure::Keyring;
using ptsecure::PlainInput;
using ptsecure::PublishOptions;
using ptsecure::Registry;
using ptsecure::Status;

namespace {

constexpr std::size_t kFirstGridfsFile = 48;
static_assert(sizeof(pts_gridfs_file) >= kFirstGridfsFile);

// What every publish is given.
struct Place {
  const Registry& registry;
  const char* name;
  const Keyring& keys;
};

Place place(const pts_store* self, const char* name, const pts_keyring* keys) {
  return {need(self, "self").registry, need_text(name, "name"), need(keys, "keys").ring};
}

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
  if (read == nullptr) throw_null("read");
  return ptsecure::callback_input(
      size, [read, user](std::uint64_t position, void* data, std::size_t count) {
        if (read(user, position, data, count) != 0) {
          throw Error(Status::io, "the read callback failed at byte " + std::to_string(position));
        }
      });
}

ptsecure::GridfsName gridfs_name(const pts_gridfs_file& file) {
  ptsecure::GridfsName name;
  name.uri = need_text(file.uri, "uri");
  if (file.bucket != nullptr) name.bucket = file.bucket;
  name.filename = text_or_empty(file.filename);
  name.id = text_or_empty(file.id);
  return name;
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

}  // namespace

pts_status pts_store_publish_file(pts_store* self, const char* name, const char* path,
                                  const pts_keyring* keys, const pts_publish_options* options,
                                  uint64_t* out_version, pts_progress_fn progress, void* user,
                                  pts_error* error) {
  return publish(options, out_version, progress, user, error, [&](const PublishOptions& known) {
    const Place to = place(self, name, keys);
    const auto input = ptsecure::file_input(need_text(path, "path"));
    return to.registry.publish(to.name, *input, to.keys, known);
  });
}

pts_status pts_store_publish_bytes(pts_store* self, const char* name, const void* data, size_t size,
                                   const pts_keyring* keys, const pts_publish_options* options,
                                   uint64_t* out_version, pts_progress_fn progress, void* user,
                                   pts_error* error) {
  return publish(options, out_version, progress, user, error, [&](const PublishOptions& known) {
    const Place to = place(self, name, keys);
    if (size != 0 && data == nullptr) throw_null("data");
    const auto input = ptsecure::memory_input({static_cast<const std::uint8_t*>(data), size});
    return to.registry.publish(to.name, *input, to.keys, known);
  });
}

pts_status pts_store_publish_read(pts_store* self, const char* name, uint64_t size,
                                  const pts_keyring* keys, const pts_publish_options* options,
                                  uint64_t* out_version, pts_read_fn read, pts_progress_fn progress,
                                  void* user, pts_error* error) {
  return publish(options, out_version, progress, user, error, [&](const PublishOptions& known) {
    const Place to = place(self, name, keys);
    const auto input = reader(size, read, user);
    return to.registry.publish(to.name, *input, to.keys, known);
  });
}

pts_status pts_store_import_file(pts_store* self, const char* name, const char* path,
                                 const char* jwk, size_t jwk_size, const char* sha256,
                                 const pts_keyring* keys, const pts_publish_options* options,
                                 uint64_t* out_version, pts_progress_fn progress, void* user,
                                 pts_error* error) {
  return publish(options, out_version, progress, user, error, [&](const PublishOptions& known) {
    const Place to = place(self, name, keys);
    const std::string_view key(need_text(jwk, "jwk"), jwk_size);
    const auto text = ptsecure::file_input(need_text(path, "path"));
    return to.registry.import_jwe(to.name, *text, key, digest_of_hex(sha256), to.keys, known);
  });
}

pts_status pts_store_import_read(pts_store* self, const char* name, uint64_t size, const char* jwk,
                                 size_t jwk_size, const char* sha256, const pts_keyring* keys,
                                 const pts_publish_options* options, uint64_t* out_version,
                                 pts_read_fn read, pts_progress_fn progress, void* user,
                                 pts_error* error) {
  return publish(options, out_version, progress, user, error, [&](const PublishOptions& known) {
    const Place to = place(self, name, keys);
    const std::string_view key(need_text(jwk, "jwk"), jwk_size);
    const auto text = reader(size, read, user);
    return to.registry.import_jwe(to.name, *text, key, digest_of_hex(sha256), to.keys, known);
  });
}

void pts_gridfs_file_init(pts_gridfs_file* file) {
  if (file != nullptr) *file = pts_gridfs_file PTS_GRIDFS_FILE_INIT;
}

pts_status pts_store_import_gridfs(pts_store* self, const char* name, const pts_gridfs_file* file,
                                   const char* jwk, size_t jwk_size, const char* sha256,
                                   const pts_keyring* keys, const pts_publish_options* options,
                                   uint64_t* out_version, pts_progress_fn progress, void* user,
                                   pts_error* error) {
  return publish(options, out_version, progress, user, error, [&](const PublishOptions& known) {
    const Place to = place(self, name, keys);
    const pts_gridfs_file source =
        known_part(&need(file, "file"), pts_gridfs_file PTS_GRIDFS_FILE_INIT, kFirstGridfsFile,
                   "pts_gridfs_file");
    ptsecure::JwkPlace key;
    key.filename = text_or_empty(source.jwk_filename);
    if (key.filename.empty()) {
      key.json = std::string_view(need_text(jwk, "jwk"), jwk_size);
    } else if (jwk != nullptr) {
      throw Error(Status::invalid_argument, "the JWK is given and named in GridFS; leave one off");
    }
    return to.registry.import_gridfs(to.name, gridfs_name(source), key, digest_of_hex(sha256),
                                     to.keys, known);
  });
}

pts_status pts_store_copy(pts_store* self, const char* reference, const pts_keyring* keys,
                          pts_store* target, const pts_keyring* target_keys,
                          const pts_publish_options* options, uint64_t* out_version,
                          pts_progress_fn progress, void* user, pts_error* error) {
  return publish(options, out_version, progress, user, error, [&](const PublishOptions& known) {
    const Registry& registry = need(self, "self").registry;
    const Keyring& ring = need(keys, "keys").ring;
    const Registry& to = need(target, "target").registry;
    const Keyring& to_ring = need(target_keys, "target_keys").ring;
    return registry.copy(need_text(reference, "reference"), ring, to, to_ring, known);
  });
}
