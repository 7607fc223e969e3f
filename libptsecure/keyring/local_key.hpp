#pragma once

#include <memory>

#include "libptsecure/crypto/jwk.hpp"
#include "libptsecure/keyring/provider.hpp"

// The JWK kept in this process as Signer, Recipient and Unwrapper. The key has a kid and has been
// checked to be fit for this (entry.cc).
namespace ptsecure {

inline constexpr const char* kContentKeyType = "jwk+json";  // cty of the JWE

std::shared_ptr<const Signer> local_signer(Jwk private_key);
std::shared_ptr<const Recipient> local_recipient(Jwk key);
std::shared_ptr<const Unwrapper> local_unwrapper(Jwk private_key);

}  // namespace ptsecure
