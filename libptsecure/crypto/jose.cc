#include "libptsecure/crypto/jose.hpp"

#include <algorithm>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/openssl.hpp"
#include "libptsecure/crypto/strict_json.hpp"

namespace ptsecure::jose {

namespace {

constexpr std::size_t kMaxHeader = 16 * 1024;
constexpr std::size_t kMaxMember = 1024;

constexpr std::array kForbidden{"crit", "b64", "jku", "jwk", "x5u", "x5c"};
constexpr std::array kTexts{"alg", "enc", "zip", "kid", "typ", "cty"};
constexpr std::array kRegistered{"alg", "enc", "zip", "jku", "jwk",      "kid",  "x5u",
                                 "x5c", "x5t", "typ", "cty", "x5t#S256", "crit", "epk",
                                 "apu", "apv", "iv",  "tag", "p2s",      "p2c",  "b64"};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_but_for_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

void malformed(const std::string& why) {
  throw Error(Status::corrupt, "the JOSE object is malformed: " + why);
}

nlohmann::json parse_header(std::string_view encoded) {
  if (encoded.empty()) malformed("its protected header is empty");
  if (encoded.size() > kMaxHeader) malformed("its protected header is longer than 16 KiB");
  auto header = parse_strict_json(as_text(base64url_decode(encoded)), kMaxDepth);
  check_header(header);
  return header;
}

void check_header(const nlohmann::json& header) {
  if (!header.is_object()) malformed("a header is no JSON object");
  for (const auto& [name, value] : header.items()) {
    for (const std::string_view registered : kRegistered) {
      if (name != registered && equal_but_for_case(name, registered)) {
        malformed("a header member differs from \"" + std::string(registered) + "\" in case only");
      }
    }
    if (std::find(kForbidden.begin(), kForbidden.end(), name) != kForbidden.end()) {
      malformed("header member \"" + name + "\" is not accepted");
    }
  }
  for (const char* name : kTexts) text_member(header, name);
}

std::string text_member(const nlohmann::json& header, const char* name) {
  const auto found = header.find(name);
  if (found == header.end()) return {};
  if (!found->is_string()) malformed(std::string("header member \"") + name + "\" is no string");
  const auto& text = found->get_ref<const std::string&>();
  if (text.empty() || text.size() > kMaxMember || has_control(text)) {
    malformed(std::string("header member \"") + name +
              "\" is empty, too long or holds control characters");
  }
  return text;
}

EvpMacCtx hmac_start(const char* digest, ByteView key) {
  const EvpMac mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  EvpMacCtx ctx(mac ? EVP_MAC_CTX_new(mac.get()) : nullptr);
  std::string name = digest;
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0),
      OSSL_PARAM_construct_end()};
  openssl_must(ctx && EVP_MAC_init(ctx.get(), key.data(), key.size(), params) == 1, "HMAC");
  return ctx;
}

Bytes hmac(const char* digest, ByteView key, std::initializer_list<ByteView> parts) {
  OpensslErrors errors;
  const EvpMacCtx ctx = hmac_start(digest, key);
  bool ok = true;
  for (const ByteView part : parts) {
    ok = ok && EVP_MAC_update(ctx.get(), part.data(), part.size()) == 1;
  }
  Bytes out(EVP_MAX_MD_SIZE);
  std::size_t size = 0;
  openssl_must(ok && EVP_MAC_final(ctx.get(), out.data(), &size, out.size()) == 1, "HMAC");
  out.resize(size);
  return out;
}

}  // namespace ptsecure::jose
