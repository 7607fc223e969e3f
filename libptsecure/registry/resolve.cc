#include "libptsecure/registry/resolve.hpp"

#include <algorithm>
#include <ctime>

#include "libptsecure/crypto/base64url.hpp"

namespace ptsecure {
namespace {

std::string digests_role(const PayloadEntry& payload) {
  return payload.role + ".digests";
}

[[noreturn]] void throw_no_version(Store& store, const Reference& reference) {
  throw Error(Status::not_found, "there is no version '" + reference.text() + "' in " +
                                     store.display_uri() + "; list the store to see what there is");
}

VersionRow find_row(const Access& access, const Reference& reference) {
  auto row = reference.version
                 ? access.store.find(reference.name, *reference.version, access.cancel)
                 : access.store.newest(reference.name, access.cancel);
  if (!row) throw_no_version(access.store, reference);
  if (row->name != reference.name || (reference.version && row->version != *reference.version)) {
    throw Error(Status::corrupt,
                "the store answered '" + reference.text() + "' with another version's row");
  }
  return std::move(*row);
}

// The newest version, which must not be older than the newest one seen.
VersionRow find_newest(const Access& access, const Reference& reference) {
  // First what is remembered, then what is stored: whatever was remembered is stored by now.
  std::optional<VersionMark> known;
  if (access.memory != nullptr) {
    known = access.memory->newest(access.store.id(access.cancel), reference.name);
  }
  const auto rollback = [&](const std::string& found) {
    return Error(Status::rollback, "version " + std::to_string(known->version) + " of " +
                                       reference.name + " was seen before, and now " + found +
                                       ": the store shows an older state than before (remembered "
                                       "in " +
                                       access.memory->file() + ")");
  };
  try {
    VersionRow row = find_row(access, reference);
    if (known && row.version < known->version) {
      throw rollback("the newest is version " + std::to_string(row.version));
    }
    return row;
  } catch (const Error& error) {
    if (!known || error.status() != Status::not_found) throw;
    throw rollback("there is none");
  }
}

std::int64_t seconds_since_epoch(const std::string& rfc3339, const std::string& what) {
  std::tm time{};
  const char* end = strptime(rfc3339.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time);
  if (end == nullptr || *end != '\0') {
    throw Error(Status::corrupt, what + " has no readable time, so its age can't be known");
  }
  return timegm(&time);
}

// How much the operator's clock may run ahead of this one: a record dated further into the future
// would stay young for too long.
constexpr std::int64_t kClockAhead = 300;

void check_age(const ChainRecord& head, const std::string& what, std::int64_t max_age) {
  const std::int64_t age =
      static_cast<std::int64_t>(std::time(nullptr)) - seconds_since_epoch(head.head.time, what);
  if (age > max_age) {
    throw Error(Status::rollback, what + " was signed at " + head.head.time + ", " +
                                      std::to_string(age) + " seconds ago, where at most " +
                                      std::to_string(max_age) +
                                      " are allowed: set the alias again to renew it");
  }
  if (age < -kClockAhead) {
    throw Error(Status::rollback, what + " was signed at " + head.head.time +
                                      ", which is in the future: this clock or the signer's is "
                                      "wrong, so its age can't be known");
  }
}

void check_expected(const VerifiedVersion& version, const Expected& expected) {
  if (!expected.manifest || sha256(as_bytes(version.json)) == *expected.manifest) return;
  throw Error(Status::rollback, version.manifest->name + "/" +
                                    std::to_string(version.manifest->version) +
                                    " has another manifest than the pinned one");
}

}  // namespace

VerifiedVersion verify_manifest(const Access& access, const VersionRow& row) {
  const std::string what = "the manifest of " + row.name + "/" + std::to_string(row.version);
  VerifiedVersion verified;
  constexpr RecordKind kKind = RecordKind::manifest;
  try {
    const Bytes payload =
        access.keys.verify(std::span(&kKind, 1), row.name, row.manifest, &verified.signer);
    verified.json = as_text(payload);
    verified.manifest = std::make_shared<const Manifest>(Manifest::from_json(verified.json));
  } catch (const Error& error) {
    throw Error(error.status(), what + ": " + error.what());
  }
  verified.jws = row.manifest;
  const Manifest& manifest = *verified.manifest;
  if (manifest.store_id != access.store.id(access.cancel)) {
    throw Error(Status::untrusted, what +
                                       " was signed for another store; copy models between stores "
                                       "with `copy`, which signs them anew");
  }
  if (manifest.name != row.name || manifest.version != row.version) {
    throw Error(Status::untrusted, what + " was signed as " + manifest.name + "/" +
                                       std::to_string(manifest.version) +
                                       "; somebody has moved it");
  }
  if (access.memory != nullptr) {
    access.memory->saw(manifest.store_id, manifest.name,
                       {manifest.version, sha256(as_bytes(verified.json))});
  }
  return verified;
}

AliasBody read_alias(const Access& access, const std::string& name, const std::string& alias,
                     const Expected& expected) {
  const auto record = access.records().last(alias_subject(name, alias));
  if (!record) throw_no_version(access.store, {.name = name, .version = {}, .alias = alias});
  const std::string what =
      chain_title(record->head.chain) + ", record " + std::to_string(record->head.sequence) + ",";
  if (record->head.sequence < expected.min_sequence) {
    throw Error(Status::rollback, "alias '" + name + "@" + alias + "' is at record " +
                                      std::to_string(record->head.sequence) + ", where at least " +
                                      std::to_string(expected.min_sequence) + " is expected");
  }
  if (expected.max_age) check_age(*record, what, *expected.max_age);
  const AliasBody body = AliasBody::from_record(*record);
  if (body.deleted) {
    throw Error(Status::not_found, "alias '" + name + "@" + alias + "' was deleted at " +
                                       record->head.time + "; its history is still there");
  }
  return body;
}

VerifiedVersion follow_alias(const Access& access, const std::string& name,
                             const std::string& alias, const AliasBody& body) {
  const Reference version{.name = name, .version = body.version, .alias = {}};
  VerifiedVersion verified = verify_manifest(access, find_row(access, version));
  if (sha256(as_bytes(verified.json)) != body.manifest) {
    throw Error(Status::untrusted, "alias '" + name + "@" + alias +
                                       "' was set to another manifest of " + version.text() +
                                       " than the one stored now");
  }
  return verified;
}

VerifiedVersion resolve(const Access& access, const Reference& reference,
                        const Expected& expected) {
  if (!reference.alias && (expected.min_sequence != 0 || expected.max_age)) {
    throw Error(Status::invalid_argument,
                "min_sequence and max_age are about an alias's record, and '" + reference.text() +
                    "' names none; give NAME@alias, or pin a manifest");
  }
  VerifiedVersion verified;
  if (reference.alias) {
    const AliasBody body = read_alias(access, reference.name, *reference.alias, expected);
    verified = follow_alias(access, reference.name, *reference.alias, body);
  } else {
    verified = verify_manifest(
        access, reference.version ? find_row(access, reference) : find_newest(access, reference));
  }
  check_expected(verified, expected);
  return verified;
}

KeyBody read_key(const Access& access, const PayloadEntry& payload,
                 std::optional<ChainRecord>* record, ReadConcern concern) {
  ChainSubject subject = key_subject(payload.sealed_name, payload.key_id);
  subject.concern = concern;
  std::vector<ChainRecord> chain = access.records().all(subject);
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

KeyContext key_context(const std::string& store_id, const PayloadEntry& payload) {
  return {store_id, payload.key_id, payload.sealed_name, payload.sealed_version};
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
  const std::uint64_t expected = stored_segments(payload.stored_size) * Sha256Digest{}.size();
  if (blob->size() != expected) {
    throw Error(Status::corrupt, "the segment digests of payload '" + payload.role + "' have " +
                                     std::to_string(blob->size()) + " bytes where " +
                                     std::to_string(expected) + " are due");
  }
  Bytes digests;
  digests.reserve(expected);
  blob->read(
      0, stored_segments(expected),
      [&](std::uint64_t, ByteView segment) {
        digests.insert(digests.end(), segment.begin(), segment.end());
      },
      cancel);
  if (sha256(digests) != payload.digests_sha256) {
    throw Error(Status::corrupt, "the segment digests of payload '" + payload.role +
                                     "' are not the ones the manifest signs");
  }
  return digests;
}

}  // namespace ptsecure
