#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/secret_json.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/keyring/entry.hpp"

// A wrapped DEK is an encrypted JWK (RFC 7517 section 7), as a compact JWE with cty "jwk+json" or
// as a provider encrypts, of
//   {"kty":"oct","k":DEK,"kid":KEY ID,"use":"enc","alg":"AES256_GCM_HKDF_1MB"}
// where alg is the name of Tink's template for the payload, because JOSE has no name for it. It is
// there for people: opening ignores alg and use, but not kid, which binds the wrap to its DEK's id.
namespace ptsecure {
namespace {

constexpr const char* kDekAlg = "AES256_GCM_HKDF_1MB";
constexpr std::size_t kMaxDocument = 64 * 1024;
constexpr std::size_t kMaxRecipients = 1024;
constexpr std::size_t kMaxNamed = 8;  // in one message

[[noreturn]] void refuse(const char* why) {
  throw Error(Status::corrupt, why);
}

// What a key opened an entry to; whoever wrapped it, or unwrapped it elsewhere, may be wrong.
SecretBytes content_key(const SecretBytes& document, const KeyContext& context,
                        const Sha256Digest& commitment) {
  if (document.size() > kMaxDocument) refuse("what it holds is larger than a key");
  const SecretJson members = parse_secret_json(as_text(document.view()));
  const auto kty = members.is_object() ? members.find("kty") : members.end();
  if (kty == members.end() || *kty != "oct") refuse("it holds no oct key");
  const Jwk dek = Jwk::parse(members);
  if (dek.kid() != context.key_id) refuse("it holds another content key");
  if (dek.secret().size() != kDekSize) refuse("a content key must be 32 bytes");
  if (!equal_constant_time(key_commitment(dek.secret()), commitment)) {
    refuse("it holds another key than the manifest commits to");
  }
  return SecretBytes::copy(dek.secret());
}

// What the keys said that couldn't open a content key.
class Answers {
 public:
  void add(const std::string& kid, const Error& error) {
    if (count_++ < kMaxNamed) {
      text_ += (text_.empty() ? " with the key " : "; with the key ") + kid + ": " + error.what();
    }
    if (!status_ || outranks(error.status(), *status_)) status_ = error.status();
  }
  bool none() const { return count_ == 0; }
  Error error(const std::string& key_id) const {
    std::string text = "content key " + key_id + " can't be opened" + text_;
    if (count_ > kMaxNamed) text += "; and " + std::to_string(count_ - kMaxNamed) + " more";
    return {*status_, text};
  }

 private:
  // Damage stays whatever a provider says when it is asked again, and a key that isn't the right
  // one stops nobody.
  static bool outranks(Status now, Status before) {
    return before != Status::corrupt && (now == Status::corrupt || before == Status::no_key);
  }

  std::size_t count_ = 0;
  std::string text_;
  std::optional<Status> status_;
};

std::string kids_of(std::span<const Wrap> wraps) {
  std::string kids;
  for (const Wrap& wrap : wraps.first(std::min(wraps.size(), kMaxNamed))) {
    kids += (kids.empty() ? "" : ", ") + shown(wrap.kid);
  }
  if (wraps.size() > kMaxNamed)
    kids += " and " + std::to_string(wraps.size() - kMaxNamed) + " more";
  return kids.empty() ? "nobody" : kids;
}

}  // namespace

bool Keyring::can_wrap() const {
  return std::any_of(entries().begin(), entries().end(),
                     [](const Entry& entry) { return entry.recipient != nullptr; });
}

std::vector<Wrap> Keyring::wrap(ByteView dek, const KeyContext& context,
                                const CancelToken& cancel) const {
  if (dek.size() != kDekSize) {
    throw Error(Status::internal, "a content key must be 32 bytes");
  }
  const SecretString json =
      Jwk::from_secret(dek)
          .with_members({{"kid", context.key_id}, {"use", "enc"}, {"alg", kDekAlg}})
          .private_json();
  std::vector<Wrap> wraps;
  for (const Entry& entry : entries()) {
    if (entry.recipient) wraps.push_back(entry.wrap(as_bytes(json), context, cancel));
  }
  if (wraps.empty()) {
    throw Error(Status::no_key,
                "the keyring holds no key to wrap content keys with: use a publisher's keyring");
  }
  return wraps;
}

SecretBytes Keyring::unwrap(std::span<const Wrap> wraps, const KeyContext& context,
                            const Sha256Digest& commitment, const CancelToken& cancel) const {
  if (wraps.size() > kMaxRecipients) {
    throw Error(Status::limit_exceeded, "content key " + context.key_id + " is wrapped for " +
                                            std::to_string(wraps.size()) +
                                            " recipients; at most 1024 are read");
  }
  Answers answers;
  // A provider's answer costs more than a key of this process.
  for (const bool here : {true, false}) {
    for (const Wrap& wrap : wraps) {
      for (const Entry& entry : entries()) {
        if (!entry.unwrapper || entry.is_private() != here || !entry.unwrapper->may_open(wrap)) {
          continue;
        }
        cancel.check();
        try {
          return content_key(entry.unwrap(wrap, context, cancel), context, commitment);
        } catch (const Error& error) {
          cancel.check();
          answers.add(wrap.kid == entry.kid ? entry.kid : shown(wrap.kid) + " by " + entry.kid,
                      error);
        }
      }
    }
  }
  if (!answers.none()) throw answers.error(context.key_id);
  throw Error(Status::no_key, "the keyring can't open content key " + context.key_id +
                                  ": it was wrapped for " + kids_of(wraps) +
                                  ", and the private key of that kid is not here");
}

}  // namespace ptsecure
