#pragma once

#include "libptsecure/keyring/key_policy.hpp"
#include "libptsecure/keyring/keyring.hpp"

namespace ptsecure {

// One key of a keyring and what it is for.
struct Keyring::Entry {
  enum class Use { sign, wrap };

  // Throws Status::corrupt for a key that contradicts itself, Status::unsupported for one of a type
  // or algorithm that a keyring has no use for.
  explicit Entry(Jwk jwk);

  bool is_private() const { return key.is_private(); }
  bool is_symmetric() const { return key.type() == KeyType::oct; }
  Entry public_part() const { return Entry(key.public_part()); }

  Jwk key;
  Use use;
  KeyPolicy policy;  // of a signing key
};

}  // namespace ptsecure
