#pragma once

#include <string>
#include <string_view>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/secret.hpp"

namespace ptsecure {

// Base64url without padding (RFC 7515 section 2). Neither direction branches on or indexes by the
// content, so both can be used on secrets.
std::string base64url_encode(ByteView bytes);
SecretString base64url_encode_secret(ByteView bytes);

// Strict: padding, whitespace, other alphabets, impossible lengths and non-zero trailing bits throw
// Status::corrupt.
Bytes base64url_decode(std::string_view text);
SecretBytes base64url_decode_secret(std::string_view text);

// Size of the decoded bytes; only for lengths that can occur (length % 4 != 1).
constexpr std::size_t base64url_decoded_size(std::size_t length) {
  return length / 4 * 3 + (length % 4 == 0 ? 0 : length % 4 - 1);
}

}  // namespace ptsecure
