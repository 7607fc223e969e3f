#pragma once

#include <memory>
#include <span>

#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/registry/key_cache.hpp"
#include "libptsecure/registry/registry.hpp"

namespace ptsecure {

// What a package is, for registry/ alone: a verified version, and what its payloads are opened
// with.
struct Package::State {
  std::shared_ptr<Store> store;
  std::shared_ptr<ThreadPool> pool;
  std::shared_ptr<const Memory> memory;
  Keyring keys;
  VerifiedVersion version;
  KeyCache cache;

  Access access(const CancelToken& cancel) const { return {*store, keys, cancel, memory.get()}; }
  const Manifest& manifest() const { return *version.manifest; }

  // The content key of a payload of this version, if its status allows.
  SecretBytes unwrap(const PayloadEntry& entry, const CancelToken& cancel) const;
  // The same from wrapped keys that were read; whoever reads them has looked at the status.
  SecretBytes unwrap(const PayloadEntry& entry, std::span<const Wrap> wraps,
                     const CancelToken& cancel) const;
  // A payload as it is stored, ready for open_payload().
  OpenPayload open_payload_of(const PayloadEntry& entry, const OpenOptions& options) const;
  // A payload's plaintext.
  std::unique_ptr<SealedSource> open(const PayloadEntry& entry, const OpenOptions& options) const;
  // Of what was sealed for this version.
  std::unique_ptr<SealedSource> open(const OpenOptions& options) const {
    return open(manifest().own_payload(), options);
  }
};

}  // namespace ptsecure
