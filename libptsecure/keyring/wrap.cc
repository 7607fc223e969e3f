#include <algorithm>
#include <nlohmann/json.hpp>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/secret_json.hpp"
#include "libptsecure/keyring/entry.hpp"

// A wrapped DEK is an encrypted JWK (RFC 7517 section 7): a compact JWE with cty "jwk+json" of
//   {"kty":"oct","k":DEK,"kid":KEY ID,"use":"enc","alg":"AES256_GCM_HKDF_1MB"}
// where alg is the name of Tink's template for the payload, because JOSE has no name for it. It is
// there for people: opening ignores alg and use, but not kid, which binds the wrap to its DEK's id.
namespace ptsecure {
namespace {

constexpr const char* kContentType = "jwk+json";
constexpr const char* kDekAlg = "AES256_GCM_HKDF_1MB";
constexpr std::size_t kDekSize = 32;

[[noreturn]] void refuse(const Wrap& wrap, std::string_view key_id, const std::string& why) {
  throw Error(Status::corrupt, "the wrap of content key " + std::string(key_id) + " for the key " +
                                   wrap.kid + " is refused: " + why);
}

SecretBytes open(const Wrap& wrap, const Jwk& key, std::string_view key_id) {
  const JweHeader header = jwe_header(wrap.jwe);
  if (!header.kid.empty() && header.kid != wrap.kid) refuse(wrap, key_id, "it names another key");
  if (header.cty != kContentType) refuse(wrap, key_id, "its cty must be jwk+json");
  const SecretBytes json = jwe_decrypt(wrap.jwe, key, JwePolicy::key_document);
  const SecretJson members = parse_secret_json(as_text(json.view()));
  const auto kty = members.is_object() ? members.find("kty") : members.end();
  if (kty == members.end() || *kty != "oct") refuse(wrap, key_id, "it holds no oct key");
  const Jwk dek = Jwk::parse(members);
  if (dek.kid() != key_id) refuse(wrap, key_id, "it holds another content key");
  if (dek.secret().size() != kDekSize) refuse(wrap, key_id, "a content key must be 32 bytes");
  return SecretBytes::copy(dek.secret());
}

}  // namespace

bool Keyring::can_wrap() const {
  return std::any_of(entries().begin(), entries().end(),
                     [](const Entry& entry) { return entry.use == Entry::Use::wrap; });
}

std::vector<Wrap> Keyring::wrap(ByteView dek, std::string_view key_id) const {
  if (dek.size() != kDekSize) {
    throw Error(Status::internal, "a content key must be 32 bytes");
  }
  const SecretString json =
      Jwk::from_secret(dek)
          .with_members({{"kid", std::string(key_id)}, {"use", "enc"}, {"alg", kDekAlg}})
          .private_json();
  std::vector<Wrap> wraps;
  for (const Entry& entry : entries()) {
    if (entry.use != Entry::Use::wrap) continue;
    wraps.push_back({entry.key.kid(), jwe_encrypt(as_bytes(json), entry.key, kContentType)});
  }
  if (wraps.empty()) {
    throw Error(Status::no_key,
                "the keyring holds no key to wrap content keys with: use a publisher's keyring");
  }
  return wraps;
}

SecretBytes Keyring::unwrap(const std::vector<Wrap>& wraps, std::string_view key_id) const {
  std::string kids;
  for (const Wrap& wrap : wraps) {
    const auto found =
        std::find_if(entries().begin(), entries().end(), [&wrap](const Entry& entry) {
          return entry.use == Entry::Use::wrap && entry.is_private() && entry.key.kid() == wrap.kid;
        });
    if (found != entries().end()) return open(wrap, found->key, key_id);
    kids += (kids.empty() ? "" : ", ") + wrap.kid;
  }
  throw Error(Status::no_key, "the keyring can't open content key " + std::string(key_id) +
                                  ": it was wrapped for " + (kids.empty() ? "nobody" : kids) +
                                  ", and the private key of that kid is not here");
}

}  // namespace ptsecure
