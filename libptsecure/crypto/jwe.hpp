#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/jwk.hpp"
#include "libptsecure/crypto/secret.hpp"

// JSON Web Encryption (RFC 7516): writing compact, reading compact, flattened and general JSON.
namespace ptsecure {

// What may be read.
// key_document: A128KW A192KW A256KW, A128GCMKW A192GCMKW A256GCMKW, RSA-OAEP-256,
//   ECDH-ES+A128KW ECDH-ES+A192KW ECDH-ES+A256KW; compact only, at most 64 KiB, no zip.
// foreign: those, dir, RSA-OAEP and ECDH-ES; zip DEF; also the JSON serialisations with up to 32
//   recipients, where alg may stand in an unprotected header.
// Both: enc A128GCM A192GCM A256GCM A128CBC-HS256 A192CBC-HS384 A256CBC-HS512; enc and zip in the
//   protected header. RSA1_5 and all others are refused. PBES2-HS256+A128KW, PBES2-HS384+A192KW and
//   PBES2-HS512+A256KW are opened by jwe_decrypt_password alone, which otherwise is as foreign.
enum class JwePolicy { key_document, foreign };

// Text of a JWE that is read into memory as a whole.
inline constexpr std::size_t kJweMaxSize = std::size_t{64} << 20;
// Plaintext that a compressed one may grow to.
inline constexpr std::size_t kJweMaxInflated = std::size_t{16} << 20;

struct JweHeader {
  std::string alg;
  std::string enc;
  std::string kid;
  std::string cty;
  std::string typ;
};

// alg is the key's own, if it has one; else oct of 16, 24, 32 bytes -> A128KW, A192KW, A256KW, EC
// -> ECDH-ES+A256KW, RSA -> RSA-OAEP-256. enc is A256GCM. The key's kid is written where it has
// one, cty where not empty. Status::no_key for a key that can't be encrypted to.
std::string jwe_encrypt(ByteView plaintext, const Jwk& recipient, std::string_view content_type);

// PBES2-HS512+A256KW. Status::invalid_argument for an empty passphrase or p2c under 1000.
std::string jwe_encrypt_password(ByteView plaintext, std::string_view passphrase,
                                 std::uint32_t p2c = 600000, std::string_view content_type = {});

// What the text says about itself, of a JSON serialisation the first recipient; nothing verified.
JweHeader jwe_header(std::string_view text);

// Status::corrupt: malformed. Status::unsupported: an algorithm the policy doesn't allow.
// Status::limit_exceeded: over a size. Status::no_key: the key is of the wrong type or lacks its
// private part. Once all that holds there is one error for every failure, a Status::corrupt with
// one message, so that a wrong key, a bad padding and a bad tag look the same.
SecretBytes jwe_decrypt(std::string_view text, const Jwk& key, JwePolicy policy);

// The same for PBES2, where the one error is a Status::no_key.
SecretBytes jwe_decrypt_password(std::string_view text, std::string_view passphrase,
                                 std::uint32_t max_p2c = 1000000);

// The content encryption key alone, from the two first parts of a compact JWE (still base64url), so
// that the ciphertext need not be in memory. A key that doesn't open may give Status::corrupt here,
// or (RSA) random bytes whose failure shows in the tag.
SecretBytes jwe_unwrap_key(std::string_view protected_header, std::string_view encrypted_key,
                           const Jwk& key, JwePolicy policy);

}  // namespace ptsecure
