#pragma once

#include <string>
#include <string_view>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/jwk.hpp"

// Compact JWS (RFC 7515) by Ed25519 and ES256, over exact bytes.
namespace ptsecure {

inline constexpr std::size_t kJwsMaxSize = std::size_t{1} << 20;

struct JwsHeader {
  std::string alg;
  std::string kid;
  std::string typ;
};

// The protected header is {"alg":...,"kid":...,"typ":...}, in that order; alg EdDSA or ES256, by
// the key. Status::invalid_argument for a key that can't sign or has no kid.
std::string jws_sign(ByteView payload, const Jwk& key, std::string_view typ);

// Its steps, for a private key that lies elsewhere. The name that jws_sign writes as alg for such a
// key, public or private; empty for one that can't sign records.
std::string_view jws_alg(const Jwk& key) noexcept;
// Header and payload: what is to be signed. `key` may be public; the errors are those of jws_sign.
std::string jws_signing_input(ByteView payload, const Jwk& key, std::string_view typ);
// The bare signature, 64 bytes for the algorithms of jws_sign: Ed25519's own, or of ES256 r and s
// in a row. Status::invalid_argument for a key that can't sign so.
Bytes jws_signature(std::string_view alg, const Jwk& key, ByteView signing_input);
// Whether it holds, for all algorithms of jws_verify_any.
bool jws_signature_holds(std::string_view alg, const Jwk& key, ByteView signing_input,
                         ByteView signature);
std::string jws_compact(std::string signing_input, ByteView signature);

// What the text says about itself; nothing of it is verified. Status::corrupt when it is no JWS or
// has a header that jws_verify would refuse.
JwsHeader jws_header(std::string_view compact);
Bytes jws_payload_unverified(std::string_view compact);

// The payload, once the signature holds. alg must be EdDSA, Ed25519 or ES256, fit the key and the
// key's own alg; where header and key both have a kid they must be equal; typ must be exactly the
// one given. Headers that would bring their own key or change the rules (crit, b64, jwk, jku, x5u,
// x5c) are refused.
// Status::corrupt: not well-formed. Status::untrusted: well-formed, not signed as required.
Bytes jws_verify(std::string_view compact, const Jwk& key, std::string_view typ);

// The same without a typ, for what others signed: also ES384, ES512, RS256, RS384, RS512, PS256,
// PS384, PS512, and HS256, HS384, HS512 by oct keys at least as long as the digest.
Bytes jws_verify_any(std::string_view compact, const Jwk& key);

}  // namespace ptsecure
