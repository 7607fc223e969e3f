#include "libptsecure/crypto/jwe.hpp"

#include <limits>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jose.hpp"
#include "libptsecure/crypto/jwe_internal.hpp"

namespace ptsecure {

void jwe::unsupported(const char* member, const char* hint) {
  throw Error(Status::unsupported,
              std::string("the JWE's ") + member + " is not one of those accepted here" + hint);
}

namespace {

using jwe::ContentAlg;
using jwe::Credentials;
using jwe::KeyAlg;
using jwe::Message;
using jwe::Recipient;
using jwe::Wrapping;

constexpr std::size_t kMaxKeyDocument = 64 * 1024;
constexpr std::size_t kMaxPassphrase = 1024;
constexpr const char* kWriteEnc = "A256GCM";

enum class Source { key_document, foreign, passphrase };

struct Algs {
  const KeyAlg& key;
  const ContentAlg& content;
};

Algs allowed_algs(const nlohmann::json& header, Source source) {
  const std::string alg_name = jose::text_member(header, "alg");
  const std::string enc_name = jose::text_member(header, "enc");
  if (alg_name.empty() || enc_name.empty()) jose::malformed("its header has no alg or no enc");
  const KeyAlg* key = jwe::find_key_alg(alg_name);
  const bool by_passphrase = key != nullptr && key->wrapping == Wrapping::pbes2;
  if (key == nullptr || by_passphrase != (source == Source::passphrase) ||
      (source == Source::key_document && !key->in_key_document)) {
    jwe::unsupported("alg");
  }
  const ContentAlg* content = jwe::find_content_alg(enc_name);
  if (content == nullptr) jwe::unsupported("enc");
  const std::string zip = jose::text_member(header, "zip");
  if (!zip.empty() && (zip != "DEF" || source == Source::key_document)) jwe::unsupported("zip");
  return {*key, *content};
}

[[noreturn]] void fail(Source source) {
  if (source == Source::passphrase) {
    throw Error(Status::no_key, "the passphrase is wrong, or the encrypted object is damaged");
  }
  throw Error(Status::corrupt,
              "the encrypted object does not open: it is damaged, or was made for another key");
}

// Nothing when the content doesn't open; throws what is wrong before any secret is used.
std::optional<SecretBytes> open_for(const Message& message, const Recipient& recipient,
                                    const Credentials& with, Source source) {
  const Algs algs = allowed_algs(recipient.header, source);
  if (with.key != nullptr) jwe::require_key(algs.key, algs.content, *with.key, false);
  const auto cek = jwe::unwrap_cek(algs.key, algs.content, recipient, with);
  if (!cek) return std::nullopt;
  auto plaintext =
      jwe::decrypt_content(algs.content, cek->view(), message.iv, as_bytes(message.associated_data),
                           message.ciphertext, message.tag);
  if (plaintext && recipient.header.contains("zip")) {
    return jwe::inflate_bounded(plaintext->view());
  }
  return plaintext;
}

SecretBytes decrypt(std::string_view text, const Credentials& with, Source source) {
  if (source == Source::key_document && text.size() > kMaxKeyDocument) {
    throw Error(Status::limit_exceeded, "an encrypted key has at most 64 KiB");
  }
  const Message message = jwe::parse_message(text, source != Source::key_document);
  if (message.recipients.size() == 1) {
    auto plaintext = open_for(message, message.recipients[0], with, source);
    if (!plaintext) fail(source);
    return std::move(*plaintext);
  }
  // Of several recipients others may be meant for keys of types and algorithms that don't fit.
  std::optional<Error> unfit;
  bool tried = false;
  for (const Recipient& recipient : message.recipients) {
    const std::string kid = jose::text_member(recipient.header, "kid");
    if (with.key != nullptr && !kid.empty() && !with.key->kid().empty() && kid != with.key->kid()) {
      continue;
    }
    try {
      auto plaintext = open_for(message, recipient, with, source);
      tried = true;
      if (plaintext) return std::move(*plaintext);
      if (source == Source::passphrase) break;  // one derivation is all an attacker gets
    } catch (const Error& error) {
      if (error.status() != Status::unsupported && error.status() != Status::no_key) throw;
      unfit = error;
    }
  }
  if (!tried && unfit) throw Error(*unfit);
  if (!tried) throw Error(Status::no_key, "no recipient of the encrypted object is this key");
  fail(source);
}

std::string seal(nlohmann::ordered_json& header, ByteView encrypted_key, ByteView cek,
                 ByteView plaintext) {
  std::string out = base64url_encode(as_bytes(header.dump()));
  const jwe::Sealed sealed = jwe::encrypt_gcm(cek, as_bytes(out), plaintext);
  out += '.' + base64url_encode(encrypted_key);
  out += '.' + base64url_encode(sealed.iv);
  out += '.' + base64url_encode(sealed.ciphertext);
  out += '.' + base64url_encode(sealed.tag);
  return out;
}

void check_plaintext(ByteView plaintext) {
  if (plaintext.size() > kJweMaxSize / 4 * 3 - kMaxKeyDocument) {
    throw Error(Status::limit_exceeded, "the plaintext is too long for one encrypted object");
  }
}

std::string alg_to_write(const Jwk& key) {
  if (!key.alg().empty()) return key.alg();
  switch (key.type()) {
    case KeyType::oct:
      return "A" + std::to_string(key.bits()) + "KW";
    case KeyType::ec:
      return "ECDH-ES+A256KW";
    case KeyType::rsa:
      return "RSA-OAEP-256";
    case KeyType::okp:
      break;
  }
  return {};
}

}  // namespace

std::string jwe_encrypt(ByteView plaintext, const Jwk& recipient, std::string_view content_type) {
  check_plaintext(plaintext);
  const KeyAlg* alg = jwe::find_key_alg(alg_to_write(recipient));
  const ContentAlg& content = *jwe::find_content_alg(kWriteEnc);
  if (alg == nullptr || !alg->in_key_document) {
    throw Error(Status::no_key,
                "this key can't be encrypted to: it is for signing, of another size than 128, 192 "
                "or 256 bits, or for an algorithm that is not written");
  }
  jwe::require_key(*alg, content, recipient, true);
  nlohmann::ordered_json header{{"alg", alg->name}, {"enc", content.name}};
  if (!recipient.kid().empty()) header["kid"] = recipient.kid();
  if (!content_type.empty()) header["cty"] = content_type;
  const SecretBytes cek = SecretBytes::random(content.key_size);
  const Bytes encrypted_key = jwe::wrap_cek(*alg, cek.view(), recipient, header);
  return seal(header, encrypted_key, cek.view(), plaintext);
}

std::string jwe_encrypt_password(ByteView plaintext, std::string_view passphrase, std::uint32_t p2c,
                                 std::string_view content_type) {
  check_plaintext(plaintext);
  if (passphrase.empty() || passphrase.size() > kMaxPassphrase || p2c < 1000 ||
      p2c > static_cast<std::uint32_t>(std::numeric_limits<int>::max())) {
    throw Error(Status::invalid_argument,
                "a passphrase has 1 to 1024 bytes, its iteration count is at least 1000");
  }
  const KeyAlg& alg = *jwe::find_key_alg("PBES2-HS512+A256KW");
  const ContentAlg& content = *jwe::find_content_alg(kWriteEnc);
  nlohmann::ordered_json header{{"alg", alg.name}, {"enc", content.name}};
  if (!content_type.empty()) header["cty"] = content_type;
  const SecretBytes cek = SecretBytes::random(content.key_size);
  const Bytes encrypted_key = jwe::wrap_cek_pbes2(alg, cek.view(), passphrase, p2c, header);
  return seal(header, encrypted_key, cek.view(), plaintext);
}

JweHeader jwe_header(std::string_view text) {
  const auto header = jwe::parse_message(text, true).recipients[0].header;
  const auto member = [&](const char* name) { return jose::text_member(header, name); };
  return {member("alg"), member("enc"), member("kid"), member("cty"), member("typ")};
}

SecretBytes jwe_decrypt(std::string_view text, const Jwk& key, JwePolicy policy) {
  return decrypt(text, {&key, {}, 0},
                 policy == JwePolicy::key_document ? Source::key_document : Source::foreign);
}

SecretBytes jwe_decrypt_password(std::string_view text, std::string_view passphrase,
                                 std::uint32_t max_p2c) {
  if (passphrase.empty() || passphrase.size() > kMaxPassphrase) {
    throw Error(Status::no_key, "a passphrase of 1 to 1024 bytes is needed");
  }
  constexpr std::uint32_t kMost = std::numeric_limits<std::int32_t>::max();
  return decrypt(text, {nullptr, passphrase, std::min(max_p2c, kMost)}, Source::passphrase);
}

SecretBytes jwe_unwrap_key(std::string_view protected_header, std::string_view encrypted_key,
                           const Jwk& key, JwePolicy policy) {
  const Source source = policy == JwePolicy::key_document ? Source::key_document : Source::foreign;
  const Recipient recipient{jose::parse_header(protected_header), base64url_decode(encrypted_key)};
  const Algs algs = allowed_algs(recipient.header, source);
  jwe::require_key(algs.key, algs.content, key, false);
  auto cek = jwe::unwrap_cek(algs.key, algs.content, recipient, {&key, {}, 0});
  if (!cek) fail(source);
  return std::move(*cek);
}

}  // namespace ptsecure
