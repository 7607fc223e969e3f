#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "libptsecure/history/access.hpp"
#include "libptsecure/history/bodies.hpp"
#include "libptsecure/package/manifest.hpp"
#include "libptsecure/package/reference.hpp"

namespace ptsecure {

// What a reader expects of a reference beyond its signatures: what protects from old records where
// no state remembers them. Falling short of it is Status::rollback.
struct Expected {
  std::uint64_t min_sequence = 0;        // of the alias's last record
  std::optional<std::int64_t> max_age;   // of that record, in seconds, by its signed time
  std::optional<Sha256Digest> manifest;  // SHA-256 of the manifest's payload bytes
};

// A version and its manifest, both verified.
struct VerifiedVersion {
  std::shared_ptr<const Manifest> manifest;
  std::string json;    // the manifest's payload bytes
  std::string jws;     // as stored
  std::string signer;  // kid
};

// Verifies a row's manifest: signed by a key trusted for it, of this store, and of that name and
// version. With a memory, it must not differ from what was seen of that version.
VerifiedVersion verify_manifest(const Access& access, const VersionRow& row);

// Finds what a reference means now and verifies it, an alias's record included. With a memory,
// "name" is never an older version than has been seen, and an alias never an older record.
// Status::rollback when it is, or falls short of `expected`.
VerifiedVersion resolve(const Access& access, const Reference& reference,
                        const Expected& expected = {});

// The verified last record of an alias; Status::not_found when there is none or it says deleted.
AliasBody read_alias(const Access& access, const std::string& name, const std::string& alias,
                     const Expected& expected = {});
// The version an alias record points at; its manifest must be the one the record names.
VerifiedVersion follow_alias(const Access& access, const std::string& name,
                             const std::string& alias, const AliasBody& body);

// The verified last record of a payload's key, about that payload; Status::corrupt when there is
// none.
KeyBody read_key(const Access& access, const PayloadEntry& payload,
                 std::optional<ChainRecord>* record = nullptr,
                 ReadConcern concern = ReadConcern::linearizable);
// Throws Status::revoked unless the key is enabled.
void require_enabled(const KeyBody& key, const PayloadEntry& payload);
// The wrapped keys that the key record vouches for.
std::vector<Wrap> read_wraps(Store& store, const KeyBody& key, const PayloadEntry& payload,
                             const CancelToken& cancel);
// What a provider is told of a payload's content key. The store is the one that the manifest names.
KeyContext key_context(const std::string& store_id, const PayloadEntry& payload);
// The payload's segment digests, checked against the manifest.
Bytes read_digests(Store& store, const PayloadEntry& payload, const CancelToken& cancel);

std::unique_ptr<BlobReader> read_payload(Store& store, const PayloadEntry& payload,
                                         const CancelToken& cancel);

}  // namespace ptsecure
