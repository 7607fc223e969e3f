#include "libptsecure/registry/publish.hpp"

#include <algorithm>

#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/registry/inspect.hpp"
#include "libptsecure/registry/subjects.hpp"

namespace ptsecure {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr int kCommitTries = 3;

void write_digests(Store& store, const Reservation& reservation, const std::string& role,
                   ByteView digests, const CancelToken& cancel) {
  const auto writer = store.write_blob(reservation, role + ".digests", digests.size(), cancel);
  for (std::uint64_t block = 0; block < block_count(digests.size()); ++block) {
    const std::size_t at = block * kBlockSize;
    writer->write(block, digests.subspan(at, std::min(kBlockSize, digests.size() - at)));
  }
  writer->finish();
}

PayloadEntry seal(Store& store, ThreadPool& pool, const Reservation& reservation, PlainInput& input,
                  const SecretBytes& dek, const Progress& progress, const CancelToken& cancel) {
  PayloadEntry entry;
  entry.role = "model";
  entry.sealed_name = reservation.name;
  entry.sealed_version = reservation.version;
  entry.key_id = new_key_id();
  entry.key_commitment = key_commitment(dek.view());
  entry.plaintext_size = input.size();
  entry.stored_size = stored_size(input.size());
  const auto writer = store.write_blob(reservation, entry.role, entry.stored_size, cancel);
  const Bytes digests =
      seal_payload(input, dek.view(), associated_data(reservation.name, reservation.version),
                   *writer, pool, progress, cancel);
  entry.digests_sha256 = sha256(digests);
  write_digests(store, reservation, entry.role, digests, cancel);
  return entry;
}

void store_key(Store& store, const Keyring& keys, const PayloadEntry& entry, const SecretBytes& dek,
               const CancelToken& cancel) {
  const std::string wraps = wraps_to_json(entry.key_id, keys.wrap(dek.view(), entry.key_id));
  store.put_wraps(entry.key_id, 1, wraps, cancel);
  const KeyBody body{.name = entry.sealed_name,
                     .version = entry.sealed_version,
                     .status = KeyStatus::enabled,
                     .wraps_sequence = 1,
                     .wraps = sha256(as_bytes(wraps))};
  Records(store, keys, cancel)
      .append(key_subject(entry.sealed_name, entry.key_id), std::nullopt, body.to_json(),
              "published");
}

// A lost answer is asked for again: the commit is idempotent by its token.
void commit(Store& store, const Reservation& reservation, const std::string& manifest,
            const CancelToken& cancel) {
  for (int attempt = 1;; ++attempt) {
    try {
      return store.commit(reservation, manifest, cancel);
    } catch (const Error& error) {
      const bool passing =
          error.status() == Status::unavailable || error.status() == Status::timeout;
      if (!passing || attempt == kCommitTries) throw;
    }
  }
}

}  // namespace

void check_publish(const std::string& name, const Keyring& keys, const PublishOptions& options) {
  check_name(name, "model name");
  if (!options.alias.empty()) check_name(options.alias, "alias");
  if (!keys.can_sign(RecordKind::manifest, name)) {
    throw Error(Status::no_key, "the keyring holds no private key that may sign manifests of '" +
                                    name + "'; publishing needs the publisher's keyring");
  }
  if (!options.alias.empty() && !keys.can_sign(RecordKind::alias, name)) {
    throw Error(Status::no_key, "the keyring holds no private key that may sign aliases of '" +
                                    name +
                                    "'; publish without an alias, or use an operator's keyring");
  }
}

std::uint64_t seal_and_commit(Store& store, ThreadPool& pool, Manifest manifest, PlainInput& input,
                              const Keyring& keys, const Progress& progress,
                              const CancelToken& cancel) {
  store.ensure_created(cancel);
  manifest.store_id = store.id(cancel);
  const SecretBytes dek = SecretBytes::random(kKeyBytes);
  const Reservation reservation = store.reserve(manifest.name, cancel);
  try {
    const PayloadEntry entry = seal(store, pool, reservation, input, dek, progress, cancel);
    store_key(store, keys, entry, dek, cancel);
    manifest.version = reservation.version;
    manifest.created = now_rfc3339();
    manifest.payloads = {entry};
    const std::string signed_manifest =
        keys.sign(RecordKind::manifest, manifest.name, as_bytes(manifest.to_json()));
    cancel.check();
    commit(store, reservation, signed_manifest, CancelToken());
  } catch (...) {
    try {
      store.abandon(reservation, CancelToken());
    } catch (const Error& error) {
      // The commit went through although its answer was lost: then the version is there.
      if (error.status() == Status::conflict) return reservation.version;
    }
    throw;
  }
  return reservation.version;
}

std::uint64_t Registry::publish(const std::string& name, PlainInput& input, const Keyring& keys,
                                const PublishOptions& options) const {
  check_publish(name, keys, options);
  Manifest manifest;
  manifest.name = name;
  manifest.format = options.format.empty() ? kTorchScript : options.format;
  manifest.labels = options.labels;
  if (manifest.format == kTorchScript) {
    inspect_model(input, options, *pool_, manifest);
  } else if (manifest.format != kOpaque) {
    throw Error(Status::unsupported, "model format '" + printable_name(manifest.format) +
                                         "' is not supported; formats: torchscript, opaque");
  } else if (!options.sample.empty() || !options.sample_json.empty()) {
    throw Error(Status::invalid_argument, "an opaque model can't be run, so it takes no sample");
  }
  input.check_unchanged();
  const std::uint64_t version = seal_and_commit(*store_, *pool_, std::move(manifest), input, keys,
                                                options.progress, options.cancel);
  if (!options.alias.empty())
    set_published_alias(name, options.alias, version, keys, options.cancel);
  return version;
}

void Registry::set_published_alias(const std::string& name, const std::string& alias,
                                   std::uint64_t version, const Keyring& keys,
                                   const CancelToken& cancel) const {
  try {
    set_alias(name, alias, version, "published", keys, cancel);
  } catch (const Error& error) {
    throw AliasError(error.status(),
                     "version " + std::to_string(version) + " is published, but alias '" + alias +
                         "' was not set: " + error.what(),
                     version);
  }
}

Registry::Registry(std::shared_ptr<Store> store, unsigned threads)
    : store_(std::move(store)), pool_(std::make_shared<ThreadPool>(threads)) {}

}  // namespace ptsecure
