#include "libptsecure/registry/resolve.hpp"

namespace ptsecure {
namespace {

std::string digests_role(const PayloadEntry& payload) {
  return payload.role + ".digests";
}

[[noreturn]] void throw_no_version(Store& store, const Reference& reference) {
  throw Error(Status::not_found, "there is no version '" + reference.text() + "' in " +
                                     store.display_uri() + "; list the store to see what there is");
}

VersionRow find_row(Store& store, const Reference& reference, const CancelToken& cancel) {
  auto row = reference.version ? store.find(reference.name, *reference.version, cancel)
                               : store.newest(reference.name, cancel);
  if (!row) throw_no_version(store, reference);
  if (row->name != reference.name || (reference.version && row->version != *reference.version)) {
    throw Error(Status::corrupt,
                "the store answered '" + reference.text() + "' with another version's row");
  }
  return std::move(*row);
}

}  // namespace

VerifiedVersion verify_manifest(Store& store, const Keyring& keys, const VersionRow& row,
                                const CancelToken& cancel) {
  const std::string what = "the manifest of " + row.name + "/" + std::to_string(row.version);
  VerifiedVersion verified;
  constexpr RecordKind kKind = RecordKind::manifest;
  try {
    const Bytes payload =
        keys.verify(std::span(&kKind, 1), row.name, row.manifest, &verified.signer);
    verified.json = as_text(payload);
    verified.manifest = std::make_shared<const Manifest>(Manifest::from_json(verified.json));
  } catch (const Error& error) {
    throw Error(error.status(), what + ": " + error.what());
  }
  verified.jws = row.manifest;
  const Manifest& manifest = *verified.manifest;
  if (manifest.store_id != store.id(cancel)) {
    throw Error(Status::untrusted, what +
                                       " was signed for another store; copy models between stores "
                                       "with `copy`, which signs them anew");
  }
  if (manifest.name != row.name || manifest.version != row.version) {
    throw Error(Status::untrusted, what + " was signed as " + manifest.name + "/" +
                                       std::to_string(manifest.version) +
                                       "; somebody has moved it");
  }
  return verified;
}

AliasBody read_alias(Store& store, const Keyring& keys, const std::string& name,
                     const std::string& alias, const CancelToken& cancel) {
  const auto record = Records(store, keys, cancel).last(alias_subject(name, alias));
  if (!record) throw_no_version(store, {.name = name, .version = {}, .alias = alias});
  return AliasBody::from_record(*record);
}

VerifiedVersion follow_alias(Store& store, const Keyring& keys, const std::string& name,
                             const std::string& alias, const AliasBody& body,
                             const CancelToken& cancel) {
  const Reference version{.name = name, .version = body.version, .alias = {}};
  VerifiedVersion verified = verify_manifest(store, keys, find_row(store, version, cancel), cancel);
  if (sha256(as_bytes(verified.json)) != body.manifest) {
    throw Error(Status::untrusted, "alias '" + name + "@" + alias +
                                       "' was set to another manifest of " + version.text() +
                                       " than the one stored now");
  }
  return verified;
}

VerifiedVersion resolve(Store& store, const Keyring& keys, const Reference& reference,
                        const CancelToken& cancel) {
  if (!reference.alias)
    return verify_manifest(store, keys, find_row(store, reference, cancel), cancel);
  const AliasBody body = read_alias(store, keys, reference.name, *reference.alias, cancel);
  return follow_alias(store, keys, reference.name, *reference.alias, body, cancel);
}

KeyBody read_key(Store& store, const Keyring& keys, const PayloadEntry& payload,
                 const CancelToken& cancel, std::optional<ChainRecord>* record) {
  std::vector<ChainRecord> chain =
      Records(store, keys, cancel).all(key_subject(payload.sealed_name, payload.key_id));
  if (chain.empty()) {
    throw Error(Status::corrupt, "the records of content key " + payload.key_id +
                                     " are missing, so its status can't be known");
  }
  KeyBody body;
  bool destroyed = false;
  for (const ChainRecord& link : chain) {
    body = KeyBody::from_record(link);
    if (body.name != payload.sealed_name || body.version != payload.sealed_version) {
      throw Error(Status::untrusted, "a record of content key " + payload.key_id + " is about " +
                                         body.name + "/" + std::to_string(body.version) +
                                         "; somebody has moved it");
    }
    destroyed = destroyed || body.status == KeyStatus::destroyed;
  }
  if (destroyed) body.status = KeyStatus::destroyed;  // for good, whatever was written later
  if (record) *record = std::move(chain.back());
  return body;
}

void require_enabled(const KeyBody& key, const PayloadEntry& payload) {
  if (key.status == KeyStatus::enabled) return;
  throw Error(
      Status::revoked,
      "the content key of " + payload.sealed_name + "/" + std::to_string(payload.sealed_version) +
          " is " + key_status_name(key.status) +
          (key.status == KeyStatus::disabled ? "; an operator can enable it again" : " for good"));
}

std::vector<Wrap> read_wraps(Store& store, const KeyBody& key, const PayloadEntry& payload,
                             const CancelToken& cancel) {
  const auto text = store.get_wraps(payload.key_id, key.wraps_sequence, cancel);
  if (!text) {
    throw Error(Status::corrupt, "the wrapped keys of content key " + payload.key_id +
                                     " are missing from the store");
  }
  if (sha256(as_bytes(*text)) != key.wraps) {
    throw Error(Status::corrupt, "the wrapped keys of content key " + payload.key_id +
                                     " are not the ones its signed record names");
  }
  return wraps_from_json(*text, payload.key_id);
}

std::unique_ptr<BlobReader> read_payload(Store& store, const PayloadEntry& payload,
                                         const CancelToken& cancel) {
  auto blob = store.read_blob({payload.sealed_name, payload.sealed_version, payload.role}, cancel);
  if (blob->size() != payload.stored_size) {
    throw Error(Status::corrupt,
                "the stored payload '" + payload.role + "' has " + std::to_string(blob->size()) +
                    " bytes where the manifest signs " + std::to_string(payload.stored_size));
  }
  return blob;
}

Bytes read_digests(Store& store, const PayloadEntry& payload, const CancelToken& cancel) {
  const auto blob =
      store.read_blob({payload.sealed_name, payload.sealed_version, digests_role(payload)}, cancel);
  const std::uint64_t expected = block_count(payload.stored_size) * Sha256Digest{}.size();
  if (blob->size() != expected) {
    throw Error(Status::corrupt, "the block digests of payload '" + payload.role + "' have " +
                                     std::to_string(blob->size()) + " bytes where " +
                                     std::to_string(expected) + " are due");
  }
  Bytes digests;
  digests.reserve(expected);
  blob->read(
      0, block_count(expected),
      [&](std::uint64_t, ByteView block) {
        digests.insert(digests.end(), block.begin(), block.end());
      },
      cancel);
  if (sha256(digests) != payload.digests_sha256) {
    throw Error(Status::corrupt, "the block digests of payload '" + payload.role +
                                     "' are not the ones the manifest signs");
  }
  return digests;
}

}  // namespace ptsecure
