#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "libptsecure/registry/registry.hpp"
#include "libptsecure/registry/subjects.hpp"

namespace ptsecure {

// A version and its manifest, both verified.
struct VerifiedVersion {
  std::shared_ptr<const Manifest> manifest;
  std::string json;    // the manifest's payload bytes
  std::string jws;     // as stored
  std::string signer;  // kid
};

// Verifies a row's manifest: signed by a key trusted for it, of this store, and of that name and
// version.
VerifiedVersion verify_manifest(Store& store, const Keyring& keys, const VersionRow& row,
                                const CancelToken& cancel);

// Finds what a reference means now and verifies it, an alias's record included.
VerifiedVersion resolve(Store& store, const Keyring& keys, const Reference& reference,
                        const CancelToken& cancel);

// The verified last record of an alias; Status::not_found when there is none.
AliasBody read_alias(Store& store, const Keyring& keys, const std::string& name,
                     const std::string& alias, const CancelToken& cancel);
// The version an alias record points at; its manifest must be the one the record names.
VerifiedVersion follow_alias(Store& store, const Keyring& keys, const std::string& name,
                             const std::string& alias, const AliasBody& body,
                             const CancelToken& cancel);

// The verified last record of a payload's key, about that payload; Status::corrupt when there is
// none.
KeyBody read_key(Store& store, const Keyring& keys, const PayloadEntry& payload,
                 const CancelToken& cancel, std::optional<ChainRecord>* record = nullptr);
// Throws Status::revoked unless the key is enabled.
void require_enabled(const KeyBody& key, const PayloadEntry& payload);
// The wrapped keys that the key record vouches for.
std::vector<Wrap> read_wraps(Store& store, const KeyBody& key, const PayloadEntry& payload,
                             const CancelToken& cancel);
// The payload's block digests, checked against the manifest.
Bytes read_digests(Store& store, const PayloadEntry& payload, const CancelToken& cancel);

std::unique_ptr<BlobReader> read_payload(Store& store, const PayloadEntry& payload,
                                         const CancelToken& cancel);

}  // namespace ptsecure
