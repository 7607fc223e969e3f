#pragma once

#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/openssl.hpp"
#include "libptsecure/crypto/secret.hpp"

// What JWS and JWE have in common; inside crypto/ only.
namespace ptsecure::jose {

// How deep the JSON of a header or a message may nest.
inline constexpr int kMaxDepth = 8;

[[noreturn]] void malformed(const std::string& why);

// Cuts a compact serialisation at its dots; there must be exactly N parts.
template <std::size_t N>
std::array<std::string_view, N> split_compact(std::string_view text) {
  std::array<std::string_view, N> parts;
  for (std::size_t i = 0; i + 1 < N; ++i) {
    const std::size_t dot = text.find('.');
    if (dot == std::string_view::npos) malformed("it has too few parts");
    parts[i] = text.substr(0, dot);
    text.remove_prefix(dot + 1);
  }
  if (text.find('.') != std::string_view::npos) malformed("it has too many parts");
  parts[N - 1] = text;
  return parts;
}

// A protected header, from base64url; passed through check_header.
nlohmann::json parse_header(std::string_view encoded);

// Refuses what would change the rules or bring keys along (crit, b64, jku, jwk, x5u, x5c), and
// names that differ from a registered one in case only, and alg, enc, zip, kid, typ and cty that
// text_member refuses.
void check_header(const nlohmann::json& header);

// Empty when absent; must be a short string without control characters.
std::string text_member(const nlohmann::json& header, const char* name);

// HMAC over the parts in a row; `digest` is OpenSSL's name. The size is the digest's.
EvpMacCtx hmac_start(const char* digest, ByteView key);
Bytes hmac(const char* digest, ByteView key, std::initializer_list<ByteView> parts);

}  // namespace ptsecure::jose
