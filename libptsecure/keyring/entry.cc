#include "libptsecure/keyring/entry.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>
#include <utility>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/keyring/local_key.hpp"

namespace ptsecure {
namespace {

constexpr const char* kPolicyMember = "ptsecure";
constexpr std::size_t kMaxKid = 128;
constexpr std::size_t kMaxWrapped = 64 * 1024;

using Use = Keyring::Entry::Use;

// A kid from a file, fit for a message.
std::string named(const Jwk& key) {
  return key.kid().empty() ? "a key without a kid" : "the key " + key.kid();
}

[[noreturn]] void refuse_key(Status status, const Jwk& key, const std::string& why) {
  throw Error(status, named(key) + " can't be used: " + why);
}

bool is_printable(std::string_view text, std::size_t most) {
  return !text.empty() && text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

void check_kid(std::string_view kid) {
  if (is_printable(kid, kMaxKid)) return;
  throw Error(Status::corrupt,
              "a key can't be used: its kid must be 1 to 128 printable ASCII characters");
}

Jwk with_kid(Jwk key) {
  if (key.kid().empty()) {
    if (key.type() == KeyType::oct) refuse_key(Status::corrupt, key, "symmetric keys need a kid");
    return key.with_members({{"kid", key.thumbprint()}});
  }
  check_kid(key.kid());
  return key;
}

// "use" where it is given; else a policy or the key's type tells.
Use use_of(const Jwk& key) {
  if (key.use() == "sig") return Use::sign;
  if (key.use() == "enc") return Use::wrap;
  if (!key.use().empty())
    refuse_key(Status::unsupported, key, "its use must be \"sig\" or \"enc\"");
  return key.extra().contains(kPolicyMember) || key.type() == KeyType::okp ? Use::sign : Use::wrap;
}

void check_signing(const Jwk& key) {
  const std::string& alg = key.alg();
  if (key.type() == KeyType::okp && (alg.empty() || alg == "EdDSA" || alg == "Ed25519")) return;
  if (key.curve() == "P-256" && (alg.empty() || alg == "ES256")) return;
  refuse_key(Status::unsupported, key,
             "signing keys must be Ed25519 (alg EdDSA) or P-256 (alg ES256); make one with keygen");
}

void check_wrapping(const Jwk& key) {
  const std::string& alg = key.alg();
  switch (key.type()) {
    case KeyType::ec:
      if (alg.empty() || alg == "ECDH-ES+A256KW") return;
      break;
    case KeyType::rsa:
      if (alg.empty() || alg == "RSA-OAEP-256") return;
      break;
    case KeyType::oct:
      if (key.secret().size() == 32 && (alg.empty() || alg == "A256KW")) return;
      break;
    case KeyType::okp:
      break;
  }
  refuse_key(
      Status::unsupported, key,
      "wrapping keys must be EC (alg ECDH-ES+A256KW), RSA (alg RSA-OAEP-256) or oct of 32 bytes "
      "(alg A256KW); make one with keygen");
}

// What a provider answers. Whoever cancelled, or whose time is over, is told that and nothing else.
template <class Call>
auto ask(const CancelToken& cancel, const Call& call) {
  cancel.check();
  try {
    return call();
  } catch (const Error&) {
    cancel.check();
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {  // its text isn't ours to show
    throw Error(Status::internal,
                "the key's provider failed in a way that it doesn't explain: this is a defect of "
                "the provider");
  }
}

// Says which key an error is of.
template <class Call>
auto naming(const std::string& prefix, const Call& call) {
  try {
    return call();
  } catch (const Error& error) {
    throw Error(error.status(), prefix + error.what());
  }
}

template <class Part>
void attach_once(const Keyring::Entry& entry, Use use, std::shared_ptr<const Part>& to,
                 std::shared_ptr<const Part> who, const char* what) {
  if (entry.use == use && !to) {
    to = std::move(who);
    return;
  }
  throw Error(Status::invalid_argument, "the key " + entry.kid + " of the keyring " +
                                            (to ? "already " : "isn't meant to be one that ") +
                                            what);
}

}  // namespace

Keyring::Entry::Entry(Jwk jwk) : use(use_of(jwk)), key(with_kid(std::move(jwk))) {
  kid = key->kid();
  if (use == Use::wrap) {
    check_wrapping(*key);
    recipient = local_recipient(*key);
    if (is_private()) unwrapper = local_unwrapper(*key);
    return;
  }
  check_signing(*key);
  const auto found = key->extra().find(kPolicyMember);
  if (found != key->extra().end()) policy = KeyPolicy::from_json(*found);
  if (is_private()) signer = local_signer(*key);
}

Keyring::Entry Keyring::Entry::of_provider(const std::string& kid) {
  check_kid(kid);
  Entry entry;
  entry.kid = kid;
  entry.use = Use::wrap;
  return entry;
}

void Keyring::Entry::attach(std::shared_ptr<const Signer> who) {
  if (use == Use::sign && who->alg() != jws_alg(*key)) {
    throw Error(Status::invalid_argument, "the key " + kid + " of the keyring signs by " +
                                              std::string(jws_alg(*key)) +
                                              ", and its provider by another algorithm");
  }
  attach_once(*this, Use::sign, signer, std::move(who), "signs");
}

void Keyring::Entry::attach(std::shared_ptr<const Recipient> who) {
  attach_once(*this, Use::wrap, recipient, std::move(who), "wraps content keys");
}

void Keyring::Entry::attach(std::shared_ptr<const Unwrapper> who) {
  attach_once(*this, Use::wrap, unwrapper, std::move(who), "unwraps content keys");
}

bool Keyring::Entry::is_provided() const {
  return !key || (acts() && !is_private());
}

std::optional<Keyring::Entry> Keyring::Entry::public_part() const {
  if (is_symmetric()) return std::nullopt;
  if (key) return Entry(is_private() ? key->public_part() : *key);
  if (!recipient) return std::nullopt;
  Entry part = *this;
  part.unwrapper = nullptr;
  return part;
}

Bytes Keyring::Entry::sign(ByteView input, const CancelToken& cancel) const {
  if (is_private()) return signer->sign(input, cancel);
  return naming("the key " + kid + " can't sign: ", [&] {
    Bytes signature = ask(cancel, [&] { return signer->sign(input, cancel); });
    if (!jws_signature_holds(jws_alg(*key), *key, input, signature)) {
      throw Error(Status::untrusted,
                  "its public key in the keyring doesn't verify the signature that its provider "
                  "gave; check which key the provider uses");
    }
    return signature;
  });
}

Wrap Keyring::Entry::wrap(ByteView document, const KeyContext& context,
                          const CancelToken& cancel) const {
  if (key) return recipient->wrap(document, context, cancel);
  return naming("content keys can't be wrapped for the key " + kid + ": ", [&] {
    Wrap made = ask(cancel, [&] { return recipient->wrap(document, context, cancel); });
    if (made.kid != kid || !is_printable(made.wrapped, kMaxWrapped) ||
        !(made.is_jwe() || is_printable(made.provider, kMaxKid))) {
      throw Error(Status::corrupt,
                  "its provider must give its kid and a printable text of at most 64 KiB");
    }
    if (made.is_jwe() && jwe_header(made.wrapped).cty != kContentKeyType) {
      throw Error(Status::corrupt, "the cty of its provider's JWE must be jwk+json");
    }
    return made;
  });
}

SecretBytes Keyring::Entry::unwrap(const Wrap& wrap, const KeyContext& context,
                                   const CancelToken& cancel) const {
  return ask(cancel, [&] { return unwrapper->unwrap(wrap, context, cancel); });
}

}  // namespace ptsecure
