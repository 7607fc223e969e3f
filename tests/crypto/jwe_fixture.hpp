#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jose.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/jwe_internal.hpp"
#include "libptsecure/crypto/jwk.hpp"

// Makes JWEs as no honest writer would.
namespace ptsecure::jwe_test {

using nlohmann::json;
using nlohmann::ordered_json;

inline constexpr std::string_view kPlain = R"({"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"})";

inline std::string b64(std::string_view text) {
  return base64url_encode(as_bytes(text));
}

using Parts = std::array<std::string, 5>;

inline Parts parts_of(const std::string& compact) {
  Parts out;
  const auto views = jose::split_compact<5>(compact);
  std::copy(views.begin(), views.end(), out.begin());
  return out;
}

inline std::string join(const Parts& parts) {
  return parts[0] + '.' + parts[1] + '.' + parts[2] + '.' + parts[3] + '.' + parts[4];
}

inline json header_of(const Parts& parts) {
  return json::parse(as_text(base64url_decode(parts[0])));
}

// Properly encrypted, under any header: what somebody who knows the key can make.
inline std::string encrypt_under(const std::string& header, ByteView cek, ByteView encrypted_key,
                                 std::string_view plain) {
  const std::string encoded = b64(header);
  const jwe::Sealed sealed = jwe::encrypt_gcm(cek, as_bytes(encoded), as_bytes(plain));
  return join({encoded, base64url_encode(encrypted_key), base64url_encode(sealed.iv),
               base64url_encode(sealed.ciphertext), base64url_encode(sealed.tag)});
}

// With alg A256KW under the key, and any further header members.
inline std::string encrypt_kw(const Jwk& key, const json& more, std::string_view plain = kPlain) {
  ordered_json header{{"alg", "A256KW"}, {"enc", "A256GCM"}};
  for (const auto& [name, value] : more.items()) header[name] = value;
  const SecretBytes cek = SecretBytes::random(32);
  const Bytes wrapped = jwe::wrap_cek(*jwe::find_key_alg("A256KW"), cek.view(), key, header);
  return encrypt_under(header.dump(), cek.view(), wrapped, plain);
}

class Jwe : public ::testing::Test {
 protected:
  Jwk oct_ = Jwk::generate_oct(32);
  Jwk ec_ = Jwk::generate_p256();
};

}  // namespace ptsecure::jwe_test
