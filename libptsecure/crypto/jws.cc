#include "libptsecure/crypto/jws.hpp"

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/jose.hpp"
#include "libptsecure/crypto/jwk_impl.hpp"
#include "libptsecure/crypto/openssl.hpp"

namespace ptsecure {

namespace {

enum class Scheme { eddsa, ecdsa, rsa_pkcs1, rsa_pss, hmac };

struct SignatureAlg {
  const char* name;
  Scheme scheme;
  KeyType type;
  const char* curve;
  const char* digest;
  std::size_t digest_size;
  bool in_records;  // for our own signed records, not only for jws_verify_any
};

constexpr std::array<SignatureAlg, 14> kAlgs{{
    {"EdDSA", Scheme::eddsa, KeyType::okp, "Ed25519", nullptr, 0, true},
    {"Ed25519", Scheme::eddsa, KeyType::okp, "Ed25519", nullptr, 0, true},
    {"ES256", Scheme::ecdsa, KeyType::ec, "P-256", "SHA256", 32, true},
    {"ES384", Scheme::ecdsa, KeyType::ec, "P-384", "SHA384", 48, false},
    {"ES512", Scheme::ecdsa, KeyType::ec, "P-521", "SHA512", 64, false},
    {"RS256", Scheme::rsa_pkcs1, KeyType::rsa, "", "SHA256", 32, false},
    {"RS384", Scheme::rsa_pkcs1, KeyType::rsa, "", "SHA384", 48, false},
    {"RS512", Scheme::rsa_pkcs1, KeyType::rsa, "", "SHA512", 64, false},
    {"PS256", Scheme::rsa_pss, KeyType::rsa, "", "SHA256", 32, false},
    {"PS384", Scheme::rsa_pss, KeyType::rsa, "", "SHA384", 48, false},
    {"PS512", Scheme::rsa_pss, KeyType::rsa, "", "SHA512", 64, false},
    {"HS256", Scheme::hmac, KeyType::oct, "", "SHA256", 32, false},
    {"HS384", Scheme::hmac, KeyType::oct, "", "SHA384", 48, false},
    {"HS512", Scheme::hmac, KeyType::oct, "", "SHA512", 64, false},
}};

// Of the 64 bytes that every signature of a record has.
constexpr std::size_t kSignatureChars = 86;

using EcdsaSig = std::unique_ptr<ECDSA_SIG, OpensslFree<ECDSA_SIG_free>>;

[[noreturn]] void distrust(const std::string& why) {
  throw Error(Status::untrusted, "the signature is not accepted: " + why);
}

[[noreturn]] void refuse_signer() {
  throw Error(Status::invalid_argument,
              "signing needs a private Ed25519 or P-256 key that has a kid and is meant for "
              "signatures");
}

const SignatureAlg* find_alg(std::string_view name) {
  const auto* found = std::find_if(kAlgs.begin(), kAlgs.end(),
                                   [&](const SignatureAlg& alg) { return name == alg.name; });
  return found == kAlgs.end() ? nullptr : found;
}

// "EdDSA" and "Ed25519" name the same algorithm for an Ed25519 key.
bool same_alg(const SignatureAlg& alg, std::string_view of_key) {
  const SignatureAlg* other = find_alg(of_key);
  return other == &alg ||
         (other != nullptr && alg.scheme == Scheme::eddsa && other->scheme == Scheme::eddsa);
}

bool fits(const SignatureAlg& alg, const Jwk& key) {
  return alg.type == key.type() && alg.curve == key.curve() &&
         (key.alg().empty() || same_alg(alg, key.alg())) &&
         (alg.scheme != Scheme::hmac || key.secret().size() >= alg.digest_size);
}

std::size_t coordinate_size(const SignatureAlg& alg) {
  return find_curve(alg.curve)->size;
}

// JOSE writes r and s in a row, OpenSSL as a DER sequence.
Bytes ecdsa_from_der(const SignatureAlg& alg, const Bytes& der) {
  const std::uint8_t* at = der.data();
  const EcdsaSig sig(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  const std::size_t n = coordinate_size(alg);
  Bytes out(2 * n);
  openssl_must(
      sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig.get()), out.data(), static_cast<int>(n)) >= 0 &&
          BN_bn2binpad(ECDSA_SIG_get0_s(sig.get()), out.data() + n, static_cast<int>(n)) >= 0,
      "ECDSA");
  return out;
}

Bytes ecdsa_to_der(const SignatureAlg& alg, ByteView raw) {
  const std::size_t n = coordinate_size(alg);
  if (raw.size() != 2 * n) return {};
  const EcdsaSig sig(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(raw.data(), static_cast<int>(n), nullptr);
  BIGNUM* s = BN_bin2bn(raw.data() + n, static_cast<int>(n), nullptr);
  openssl_must(sig && ECDSA_SIG_set0(sig.get(), r, s) == 1, "ECDSA");
  const int size = i2d_ECDSA_SIG(sig.get(), nullptr);
  openssl_must(size > 0, "ECDSA");
  Bytes der(static_cast<std::size_t>(size));
  std::uint8_t* at = der.data();
  i2d_ECDSA_SIG(sig.get(), &at);
  return der;
}

bool verify_pkey(const SignatureAlg& alg, const Jwk& key, ByteView input, ByteView signature) {
  Bytes der;
  if (alg.scheme == Scheme::ecdsa) {
    der = ecdsa_to_der(alg, signature);
    if (der.empty()) return false;
    signature = der;
  }
  // Longer ones are OpenSSL's to refuse, but RS and PS also fix the length from below.
  EVP_PKEY* pkey = key.impl().pkey.get();
  if (key.type() == KeyType::rsa &&
      signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(pkey))) {
    return false;
  }
  const EvpMdCtx ctx(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  bool ok = ctx && EVP_DigestVerifyInit_ex(ctx.get(), &options, alg.digest, nullptr, nullptr, pkey,
                                           nullptr) == 1;
  if (alg.scheme == Scheme::rsa_pss) {
    ok = ok && EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  openssl_must(ok, "signatures of this kind");
  return EVP_DigestVerify(ctx.get(), signature.data(), signature.size(), input.data(),
                          input.size()) == 1;
}

bool verify_signature(const SignatureAlg& alg, const Jwk& key, ByteView input, ByteView signature) {
  OpensslErrors errors;
  if (signature.empty()) return false;
  if (alg.scheme == Scheme::hmac) {
    return equal_constant_time(jose::hmac(alg.digest, key.secret(), {input}), signature);
  }
  return verify_pkey(alg, key, input, signature);
}

Bytes sign(const SignatureAlg& alg, const Jwk& key, ByteView input) {
  OpensslErrors errors;
  const EvpMdCtx ctx(EVP_MD_CTX_new());
  std::size_t size = 0;
  openssl_must(ctx &&
                   EVP_DigestSignInit_ex(ctx.get(), nullptr, alg.digest, nullptr, nullptr,
                                         key.impl().pkey.get(), nullptr) == 1 &&
                   EVP_DigestSign(ctx.get(), nullptr, &size, input.data(), input.size()) == 1,
               "a signature");
  Bytes signature(size);
  openssl_must(EVP_DigestSign(ctx.get(), signature.data(), &size, input.data(), input.size()) == 1,
               "a signature");
  signature.resize(size);
  return alg.scheme == Scheme::ecdsa ? ecdsa_from_der(alg, signature) : signature;
}

struct ParsedJws {
  JwsHeader header;
  std::string_view signing_input;
  std::string_view payload;
  Bytes signature;
};

ParsedJws parse(std::string_view compact) {
  if (compact.size() > kJwsMaxSize) {
    throw Error(Status::limit_exceeded, "a signed record has at most 1 MiB, this text has " +
                                            std::to_string(compact.size()) + " bytes");
  }
  const auto parts = jose::split_compact<3>(compact);
  const auto header = jose::parse_header(parts[0]);
  if (header.contains("enc")) jose::malformed("it is encrypted where a signature is due");
  ParsedJws out;
  out.header = {jose::text_member(header, "alg"), jose::text_member(header, "kid"),
                jose::text_member(header, "typ")};
  if (out.header.alg.empty()) jose::malformed("its protected header has no alg");
  out.signing_input = compact.substr(0, parts[0].size() + 1 + parts[1].size());
  out.payload = parts[1];
  out.signature = base64url_decode(parts[2]);
  return out;
}

Bytes verify(const ParsedJws& jws, const Jwk& key, bool in_records) {
  const SignatureAlg* alg = find_alg(jws.header.alg);
  if (alg == nullptr || (in_records && !alg->in_records)) {
    distrust("its algorithm is not one of those allowed here");
  }
  if (!fits(*alg, key)) distrust("its algorithm is not the one of the key");
  if (!key_permits(key, "sig", {"verify", "sign"})) distrust("the key is not meant for signatures");
  if (!key.kid().empty() && !jws.header.kid.empty() && key.kid() != jws.header.kid) {
    distrust("it names another key");
  }
  Bytes payload = base64url_decode(jws.payload);
  if (!verify_signature(*alg, key, as_bytes(jws.signing_input), jws.signature)) {
    distrust("it does not match; the record was changed, or signed with another key");
  }
  return payload;
}

}  // namespace

std::string_view jws_alg(const Jwk& key) noexcept {
  const auto* alg = std::find_if(kAlgs.begin(), kAlgs.end(), [&](const SignatureAlg& candidate) {
    return candidate.in_records && fits(candidate, key);
  });
  return alg == kAlgs.end() ? std::string_view() : alg->name;
}

std::string jws_signing_input(ByteView payload, const Jwk& key, std::string_view typ) {
  const std::string_view alg = jws_alg(key);
  if (alg.empty() || key.kid().empty()) refuse_signer();
  const nlohmann::ordered_json header{{"alg", alg}, {"kid", key.kid()}, {"typ", typ}};
  std::string out = base64url_encode(as_bytes(header.dump())) + '.' + base64url_encode(payload);
  if (out.size() + kSignatureChars + 1 > kJwsMaxSize) {
    throw Error(Status::limit_exceeded, "a signed record has at most 1 MiB");
  }
  return out;
}

Bytes jws_signature(std::string_view alg_name, const Jwk& key, ByteView signing_input) {
  const SignatureAlg* alg = find_alg(alg_name);
  if (alg == nullptr || !alg->in_records || !fits(*alg, key) || !key.is_private() ||
      !key_permits(key, "sig", {"sign"})) {
    refuse_signer();
  }
  return sign(*alg, key, signing_input);
}

bool jws_signature_holds(std::string_view alg_name, const Jwk& key, ByteView signing_input,
                         ByteView signature) {
  const SignatureAlg* alg = find_alg(alg_name);
  return alg != nullptr && fits(*alg, key) && verify_signature(*alg, key, signing_input, signature);
}

std::string jws_compact(std::string signing_input, ByteView signature) {
  return std::move(signing_input) + '.' + base64url_encode(signature);
}

std::string jws_sign(ByteView payload, const Jwk& key, std::string_view typ) {
  std::string input = jws_signing_input(payload, key, typ);
  const Bytes signature = jws_signature(jws_alg(key), key, as_bytes(input));
  return jws_compact(std::move(input), signature);
}

JwsHeader jws_header(std::string_view compact) {
  return parse(compact).header;
}

Bytes jws_payload_unverified(std::string_view compact) {
  return base64url_decode(parse(compact).payload);
}

Bytes jws_verify(std::string_view compact, const Jwk& key, std::string_view typ) {
  const ParsedJws jws = parse(compact);
  if (jws.header.typ != typ) distrust("the record is not of the kind (typ) that is due here");
  return verify(jws, key, true);
}

Bytes jws_verify_any(std::string_view compact, const Jwk& key) {
  return verify(parse(compact), key, false);
}

}  // namespace ptsecure
