#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <limits>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jose.hpp"
#include "libptsecure/crypto/jwe_internal.hpp"
#include "libptsecure/crypto/random.hpp"

namespace ptsecure::jwe {

namespace {

using jose::malformed;
using nlohmann::json;

constexpr std::size_t kKwOverhead = 8;
constexpr std::size_t kMinSalt = 8;
constexpr std::size_t kMaxSalt = 1024;
constexpr std::size_t kMaxPartyInfo = 1024;

constexpr std::array<KeyAlg, 16> kKeyAlgs{{
    {"A128KW", Wrapping::aes_kw, 16, nullptr, true},
    {"A192KW", Wrapping::aes_kw, 24, nullptr, true},
    {"A256KW", Wrapping::aes_kw, 32, nullptr, true},
    {"A128GCMKW", Wrapping::gcm_kw, 16, nullptr, true},
    {"A192GCMKW", Wrapping::gcm_kw, 24, nullptr, true},
    {"A256GCMKW", Wrapping::gcm_kw, 32, nullptr, true},
    {"RSA-OAEP-256", Wrapping::rsa_oaep, 0, "SHA256", true},
    {"ECDH-ES+A128KW", Wrapping::ecdh_es_kw, 16, nullptr, true},
    {"ECDH-ES+A192KW", Wrapping::ecdh_es_kw, 24, nullptr, true},
    {"ECDH-ES+A256KW", Wrapping::ecdh_es_kw, 32, nullptr, true},
    {"RSA-OAEP", Wrapping::rsa_oaep, 0, "SHA1", false},
    {"ECDH-ES", Wrapping::ecdh_es, 0, nullptr, false},
    {"dir", Wrapping::direct, 0, nullptr, false},
    {"PBES2-HS256+A128KW", Wrapping::pbes2, 16, "SHA256", false},
    {"PBES2-HS384+A192KW", Wrapping::pbes2, 24, "SHA384", false},
    {"PBES2-HS512+A256KW", Wrapping::pbes2, 32, "SHA512", false},
}};

constexpr std::array<ContentAlg, 6> kContentAlgs{{
    {"A128GCM", 16, 12, 16, nullptr},
    {"A192GCM", 24, 12, 16, nullptr},
    {"A256GCM", 32, 12, 16, nullptr},
    {"A128CBC-HS256", 32, 16, 16, "SHA256"},
    {"A192CBC-HS384", 48, 16, 24, "SHA384"},
    {"A256CBC-HS512", 64, 16, 32, "SHA512"},
}};

Bytes bytes_member(const json& header, const char* name, std::size_t least, std::size_t most) {
  const auto found = header.find(name);
  Bytes bytes;
  if (found != header.end()) {
    if (!found->is_string()) malformed(std::string("header member \"") + name + "\" is no string");
    bytes = base64url_decode(found->get_ref<const std::string&>());
  }
  if (bytes.size() < least || bytes.size() > most) {
    malformed(std::string("header member \"") + name + "\" is missing or has a wrong size");
  }
  return bytes;
}

// AES key wrap (RFC 3394), either way; nothing when the integrity check fails.
std::optional<SecretBytes> aes_key_wrap(ByteView kek, ByteView in, bool wrap) {
  const EVP_CIPHER* cipher = kek.size() == 16   ? EVP_aes_128_wrap()
                             : kek.size() == 24 ? EVP_aes_192_wrap()
                                                : EVP_aes_256_wrap();
  const EvpCipherCtx ctx(EVP_CIPHER_CTX_new());
  openssl_must(ctx != nullptr, "AES key wrap");
  EVP_CIPHER_CTX_set_flags(ctx.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  openssl_must(
      EVP_CipherInit_ex2(ctx.get(), cipher, kek.data(), nullptr, wrap ? 1 : 0, nullptr) == 1,
      "AES key wrap");
  SecretBytes out(in.size() + 2 * kKwOverhead);
  int size = 0;
  if (EVP_CipherUpdate(ctx.get(), out.data(), &size, in.data(), static_cast<int>(in.size())) != 1 ||
      size <= 0) {
    return std::nullopt;
  }
  return SecretBytes::copy(out.view().first(static_cast<std::size_t>(size)));
}

std::optional<SecretBytes> unwrap_kw(ByteView kek, const ContentAlg& content, ByteView wrapped) {
  if (wrapped.size() != content.key_size + kKwOverhead) return std::nullopt;
  return aes_key_wrap(kek, wrapped, false);
}

EvpPkeyCtx oaep(const KeyAlg& alg, EVP_PKEY* pkey, bool encrypt) {
  EvpPkeyCtx ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
  openssl_must(
      ctx && (encrypt ? EVP_PKEY_encrypt_init(ctx.get()) : EVP_PKEY_decrypt_init(ctx.get())) == 1 &&
          EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
          EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx.get(), alg.digest, nullptr) == 1 &&
          EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx.get(), alg.digest, nullptr) == 1,
      "RSA-OAEP");
  return ctx;
}

// A padding that doesn't hold gives a random key, so that all that anybody can observe is the
// content's tag failing (RFC 7516 section 11.5).
SecretBytes unwrap_rsa(const KeyAlg& alg, const ContentAlg& content, const Jwk& key,
                       ByteView wrapped) {
  SecretBytes instead = SecretBytes::random(content.key_size);
  EVP_PKEY* pkey = key.impl().pkey.get();
  const auto modulus = static_cast<std::size_t>(EVP_PKEY_get_size(pkey));
  if (wrapped.size() != modulus) return instead;
  const EvpPkeyCtx ctx = oaep(alg, pkey, false);
  SecretBytes out(modulus);
  std::size_t size = out.size();
  const bool ok =
      EVP_PKEY_decrypt(ctx.get(), out.data(), &size, wrapped.data(), wrapped.size()) == 1 &&
      size == content.key_size;
  return ok ? SecretBytes::copy(out.view().first(size)) : std::move(instead);
}

void append_u32(Bytes& out, std::size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

void append_sized(Bytes& out, ByteView bytes) {
  append_u32(out, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
}

// The Concat KDF of RFC 7518 section 4.6.2, which is OpenSSL's single-step KDF with SHA-256.
SecretBytes concat_kdf(ByteView shared, std::string_view alg_id, const json& header,
                       std::size_t size) {
  Bytes info;
  append_sized(info, as_bytes(alg_id));
  append_sized(info, bytes_member(header, "apu", 0, kMaxPartyInfo));
  append_sized(info, bytes_member(header, "apv", 0, kMaxPartyInfo));
  append_u32(info, size * 8);
  const EvpKdf kdf(EVP_KDF_fetch(nullptr, "SSKDF", nullptr));
  const EvpKdfCtx ctx(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, openssl_in(shared.data()),
                                        shared.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_construct_end()};
  SecretBytes out(size);
  openssl_must(ctx && EVP_KDF_derive(ctx.get(), out.data(), out.size(), params) == 1, "SSKDF");
  return out;
}

// What ECDH-ES agrees on: the key that wraps, or for ECDH-ES alone the CEK itself.
SecretBytes agreed_key(const KeyAlg& alg, const ContentAlg& content, const Jwk& mine,
                       const Jwk& theirs, const json& header) {
  const bool direct = alg.wrapping == Wrapping::ecdh_es;
  const SecretBytes shared = ecdh(mine, theirs);
  return concat_kdf(shared.view(), direct ? content.name : alg.name, header,
                    direct ? content.key_size : alg.kek_size);
}

Jwk ephemeral_key(const json& header, const Jwk& mine) {
  const auto found = header.find("epk");
  if (found == header.end() || !found->is_object()) malformed("it has no ephemeral key (epk)");
  const Jwk epk = Jwk::parse(found->dump());
  if (epk.is_private() || epk.type() != KeyType::ec) {
    malformed("its ephemeral key (epk) is no public EC key");
  }
  if (epk.curve() != mine.curve()) malformed("its ephemeral key (epk) is on another curve");
  return epk;
}

SecretBytes pbes2_kek(const KeyAlg& alg, std::string_view passphrase, ByteView salt_input,
                      std::uint32_t p2c) {
  Bytes salt(alg.name, alg.name + std::string_view(alg.name).size());
  salt.push_back(0);
  salt.insert(salt.end(), salt_input.begin(), salt_input.end());
  SecretBytes kek(alg.kek_size);
  openssl_must(PKCS5_PBKDF2_HMAC(passphrase.data(), static_cast<int>(passphrase.size()),
                                 salt.data(), static_cast<int>(salt.size()), static_cast<int>(p2c),
                                 EVP_get_digestbyname(alg.digest), static_cast<int>(kek.size()),
                                 kek.data()) == 1,
               "PBKDF2");
  return kek;
}

std::uint32_t p2c_of(const json& header, std::uint32_t most) {
  const auto found = header.find("p2c");
  if (found == header.end() || !found->is_number_unsigned() || found->get<std::uint64_t>() == 0) {
    malformed("its iteration count (p2c) is missing or no positive integer");
  }
  const auto p2c = found->get<std::uint64_t>();
  if (p2c > most) {
    throw Error(Status::limit_exceeded, "the passphrase's iteration count (p2c) is " +
                                            std::to_string(p2c) + ", at most " +
                                            std::to_string(most) + " are accepted");
  }
  return static_cast<std::uint32_t>(p2c);
}

std::optional<SecretBytes> unwrap(const KeyAlg& alg, const ContentAlg& content,
                                  const Recipient& recipient, const Credentials& with) {
  const ByteView wrapped = recipient.encrypted_key;
  const json& header = recipient.header;
  switch (alg.wrapping) {
    case Wrapping::aes_kw:
      return unwrap_kw(with.key->secret(), content, wrapped);
    case Wrapping::gcm_kw:
      return decrypt_gcm(with.key->secret(), bytes_member(header, "iv", 12, 12), {}, wrapped,
                         bytes_member(header, "tag", 16, 16));
    case Wrapping::rsa_oaep:
      return unwrap_rsa(alg, content, *with.key, wrapped);
    case Wrapping::direct:
      return SecretBytes::copy(with.key->secret());
    case Wrapping::ecdh_es:
      return agreed_key(alg, content, *with.key, ephemeral_key(header, *with.key), header);
    case Wrapping::ecdh_es_kw: {
      const SecretBytes kek =
          agreed_key(alg, content, *with.key, ephemeral_key(header, *with.key), header);
      return unwrap_kw(kek.view(), content, wrapped);
    }
    case Wrapping::pbes2: {
      const SecretBytes kek =
          pbes2_kek(alg, with.passphrase, bytes_member(header, "p2s", kMinSalt, kMaxSalt),
                    p2c_of(header, with.max_p2c));
      return unwrap_kw(kek.view(), content, wrapped);
    }
  }
  return std::nullopt;
}

bool has_own_wrapped_key(Wrapping wrapping) {
  return wrapping != Wrapping::direct && wrapping != Wrapping::ecdh_es;
}

}  // namespace

SecretBytes ecdh(const Jwk& mine, const Jwk& theirs) {
  const EvpPkeyCtx ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, mine.impl().pkey.get(), nullptr));
  std::size_t size = 0;
  openssl_must(ctx && EVP_PKEY_derive_init(ctx.get()) == 1 &&
                   EVP_PKEY_derive_set_peer(ctx.get(), theirs.impl().pkey.get()) == 1 &&
                   EVP_PKEY_derive(ctx.get(), nullptr, &size) == 1,
               "ECDH");
  SecretBytes shared(size);
  openssl_must(EVP_PKEY_derive(ctx.get(), shared.data(), &size) == 1 && size == shared.size(),
               "ECDH");
  return shared;
}

const KeyAlg* find_key_alg(std::string_view name) noexcept {
  const auto* found = std::find_if(kKeyAlgs.begin(), kKeyAlgs.end(),
                                   [&](const KeyAlg& alg) { return name == alg.name; });
  return found == kKeyAlgs.end() ? nullptr : found;
}

const ContentAlg* find_content_alg(std::string_view name) noexcept {
  const auto* found = std::find_if(kContentAlgs.begin(), kContentAlgs.end(),
                                   [&](const ContentAlg& alg) { return name == alg.name; });
  return found == kContentAlgs.end() ? nullptr : found;
}

void require_key(const KeyAlg& alg, const ContentAlg& content, const Jwk& key, bool to_encrypt) {
  const auto refuse = [](const char* why) {
    throw Error(Status::no_key, std::string("this key can't be used here: ") + why);
  };
  const bool direct = alg.wrapping == Wrapping::direct;
  switch (alg.wrapping) {
    case Wrapping::aes_kw:
    case Wrapping::gcm_kw:
    case Wrapping::direct:
      if (key.type() != KeyType::oct) refuse("a symmetric key is needed");
      if (key.secret().size() != (direct ? content.key_size : alg.kek_size)) {
        refuse("the algorithm needs a key of another size");
      }
      break;
    case Wrapping::rsa_oaep:
      if (key.type() != KeyType::rsa) refuse("an RSA key is needed");
      break;
    case Wrapping::ecdh_es:
    case Wrapping::ecdh_es_kw:
      if (key.type() != KeyType::ec) refuse("an EC key is needed");
      break;
    case Wrapping::pbes2:
      refuse("a passphrase is needed");
  }
  if (!to_encrypt && !key.is_private()) refuse("its private part is missing");
  if (!key.alg().empty() && key.alg() != alg.name && !(direct && key.alg() == content.name)) {
    refuse("it is meant for another algorithm");
  }
  const bool permitted =
      to_encrypt ? key_permits(key, "enc", {"wrapKey", "encrypt", "deriveKey", "deriveBits"})
                 : key_permits(key, "enc", {"unwrapKey", "decrypt", "deriveKey", "deriveBits"});
  if (!permitted) refuse("its use or key_ops say that it is not for encryption");
}

std::optional<SecretBytes> unwrap_cek(const KeyAlg& alg, const ContentAlg& content,
                                      const Recipient& recipient, const Credentials& with) {
  if (has_own_wrapped_key(alg.wrapping) == recipient.encrypted_key.empty()) {
    malformed(recipient.encrypted_key.empty() ? "its encrypted key is empty"
                                              : "it has an encrypted key where none belongs");
  }
  OpensslErrors errors;
  auto cek = unwrap(alg, content, recipient, with);
  const auto zero = [](std::uint8_t byte) { return byte == 0; };
  if (cek && (cek->size() != content.key_size ||
              std::all_of(cek->view().begin(), cek->view().end(), zero))) {
    return std::nullopt;
  }
  return cek;
}

Bytes wrap_cek(const KeyAlg& alg, ByteView cek, const Jwk& key, nlohmann::ordered_json& header) {
  OpensslErrors errors;
  const auto kw = [&](ByteView kek) {
    const auto wrapped = aes_key_wrap(kek, cek, true);
    openssl_must(wrapped.has_value(), "AES key wrap");
    return Bytes(wrapped->view().begin(), wrapped->view().end());
  };
  if (alg.wrapping == Wrapping::aes_kw) return kw(key.secret());
  if (alg.wrapping == Wrapping::gcm_kw) {
    const Sealed sealed = encrypt_gcm(key.secret(), {}, cek);
    header["iv"] = base64url_encode(sealed.iv);
    header["tag"] = base64url_encode(sealed.tag);
    return sealed.ciphertext;
  }
  if (alg.wrapping == Wrapping::ecdh_es_kw) {
    const Jwk ephemeral = generate_ec(key.curve());
    header["epk"] = {{"kty", "EC"},
                     {"crv", ephemeral.curve()},
                     {"x", ephemeral.impl().public_member("x")},
                     {"y", ephemeral.impl().public_member("y")}};
    const SecretBytes shared = ecdh(ephemeral, key);
    return kw(concat_kdf(shared.view(), alg.name, json::object(), alg.kek_size).view());
  }
  const EvpPkeyCtx ctx = oaep(alg, key.impl().pkey.get(), true);
  Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(key.impl().pkey.get())));
  std::size_t size = out.size();
  openssl_must(EVP_PKEY_encrypt(ctx.get(), out.data(), &size, cek.data(), cek.size()) == 1 &&
                   size == out.size(),
               "RSA-OAEP");
  return out;
}

Bytes wrap_cek_pbes2(const KeyAlg& alg, ByteView cek, std::string_view passphrase,
                     std::uint32_t p2c, nlohmann::ordered_json& header) {
  OpensslErrors errors;
  Bytes salt(16);
  random_bytes(salt);
  header["p2s"] = base64url_encode(salt);
  header["p2c"] = p2c;
  const SecretBytes kek = pbes2_kek(alg, passphrase, salt, p2c);
  const auto wrapped = aes_key_wrap(kek.view(), cek, true);
  openssl_must(wrapped.has_value(), "AES key wrap");
  return Bytes(wrapped->view().begin(), wrapped->view().end());
}

}  // namespace ptsecure::jwe
