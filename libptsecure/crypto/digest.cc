#include "libptsecure/crypto/digest.hpp"

#include <openssl/crypto.h>

#include <algorithm>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/openssl.hpp"

namespace ptsecure {

Sha256Digest sha256(ByteView bytes) {
  OpensslErrors errors;
  Sha256Digest out{};
  openssl_must(
      EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, EVP_sha256(), nullptr) == 1,
      "SHA-256");
  return out;
}

struct Sha256::State {
  EvpMdCtx ctx{EVP_MD_CTX_new()};

  void start() {
    OpensslErrors errors;
    openssl_must(ctx && EVP_DigestInit_ex2(ctx.get(), EVP_sha256(), nullptr) == 1, "SHA-256");
  }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  state_->start();
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(ByteView bytes) {
  openssl_must(EVP_DigestUpdate(state_->ctx.get(), bytes.data(), bytes.size()) == 1, "SHA-256");
}

Sha256Digest Sha256::finish() {
  Sha256Digest out{};
  openssl_must(EVP_DigestFinal_ex(state_->ctx.get(), out.data(), nullptr) == 1, "SHA-256");
  state_->start();
  return out;
}

SecretBytes hkdf_sha256(ByteView ikm, ByteView salt, ByteView info, std::size_t n) {
  if (ikm.empty() || n == 0 || n > 255 * sizeof(Sha256Digest)) {
    throw Error(Status::invalid_argument, "HKDF needs key material and gives 1 to 8160 bytes");
  }
  OpensslErrors errors;
  EvpKdf kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  EvpKdfCtx ctx(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  openssl_must(ctx != nullptr, "HKDF");
  char digest[] = "SHA256";
  std::array<OSSL_PARAM, 5> params;
  std::size_t count = 0;
  params[count++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
  const auto add = [&](const char* name, ByteView bytes) {
    if (bytes.empty()) return;  // as parameters empty ones are refused
    params[count++] =
        OSSL_PARAM_construct_octet_string(name, openssl_in(bytes.data()), bytes.size());
  };
  add(OSSL_KDF_PARAM_KEY, ikm);
  add(OSSL_KDF_PARAM_SALT, salt);
  add(OSSL_KDF_PARAM_INFO, info);
  params[count] = OSSL_PARAM_construct_end();
  SecretBytes out(n);
  openssl_must(EVP_KDF_derive(ctx.get(), out.data(), n, params.data()) == 1, "HKDF");
  return out;
}

bool equal_constant_time(ByteView a, ByteView b) noexcept {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

std::optional<Sha256Digest> digest_from_base64url(std::string_view text) {
  Sha256Digest digest{};
  if (base64url_decoded_size(text.size()) != digest.size()) return std::nullopt;
  try {
    const Bytes bytes = base64url_decode(text);
    std::copy(bytes.begin(), bytes.end(), digest.begin());
    return digest;
  } catch (const Error& error) {
    if (error.status() != Status::corrupt) throw;
    return std::nullopt;
  }
}

Sha256Digest parse_digest(std::string_view text, std::string_view what) {
  Sha256Digest digest{};
  if (const auto bytes = parse_hex(text); bytes && bytes->size() == digest.size()) {
    std::copy(bytes->begin(), bytes->end(), digest.begin());
    return digest;
  }
  if (const auto read = digest_from_base64url(text)) return *read;
  throw Error(Status::invalid_argument,
              std::string(what) +
                  " must be a SHA-256 as 43 characters of base64url or 64 hexadecimal digits");
}

}  // namespace ptsecure
