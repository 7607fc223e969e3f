#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/registry/registry.hpp"
#include "libptsecure/registry/resolve.hpp"

namespace ptsecure {

using Clock = std::chrono::steady_clock;

// How old a key's status may be when a package is opened; beyond that it is read again.
inline constexpr std::chrono::seconds kStatusAge{1};

struct Package::State {
  std::shared_ptr<Store> store;
  std::shared_ptr<ThreadPool> pool;
  std::shared_ptr<const Memory> memory;
  Keyring keys;
  VerifiedVersion version;
  KeyBody key;
  Clock::time_point checked;  // when the key's status was read

  Access access(const CancelToken& cancel) const { return {*store, keys, cancel, memory.get()}; }
  // The key's record, read again unless it is fresh. Throws Status::revoked unless it is enabled.
  KeyBody enabled_key(const CancelToken& cancel) const;
  // The content key of a payload, of this version or shared by it, if its status allows.
  SecretBytes unwrap(const PayloadEntry& entry, const CancelToken& cancel) const;
  // Authenticates every segment of the program that this version shares, with its key when the
  // keyring opens it, and says what was found.
  std::string verify_program(const OpenOptions& options) const;
  // What was sealed for this version.
  const PayloadEntry& payload() const { return version.manifest->own_payload(); }
};

}  // namespace ptsecure
