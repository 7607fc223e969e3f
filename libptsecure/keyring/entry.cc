#include "libptsecure/keyring/entry.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libptsecure/base/error.hpp"

namespace ptsecure {
namespace {

constexpr const char* kPolicyMember = "ptsecure";
constexpr std::size_t kMaxKid = 128;

using Use = Keyring::Entry::Use;

// A kid from a file, fit for a message.
std::string named(const Jwk& key) {
  return key.kid().empty() ? "a key without a kid" : "the key " + key.kid();
}

[[noreturn]] void refuse_key(Status status, const Jwk& key, const std::string& why) {
  throw Error(status, named(key) + " can't be used: " + why);
}

Jwk with_kid(Jwk key) {
  if (key.kid().empty()) {
    if (key.type() == KeyType::oct) refuse_key(Status::corrupt, key, "symmetric keys need a kid");
    return key.with_members({{"kid", key.thumbprint()}});
  }
  const std::string& kid = key.kid();
  if (kid.size() > kMaxKid ||
      !std::all_of(kid.begin(), kid.end(), [](char c) { return c > 0x20 && c < 0x7f; })) {
    throw Error(Status::corrupt,
                "a key can't be used: its kid must be 1 to 128 printable ASCII characters");
  }
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

}  // namespace

Keyring::Entry::Entry(Jwk jwk) : key(with_kid(std::move(jwk))), use(use_of(key)) {
  if (use == Use::wrap) {
    check_wrapping(key);
    return;
  }
  check_signing(key);
  const auto found = key.extra().find(kPolicyMember);
  if (found != key.extra().end()) policy = KeyPolicy::from_json(*found);
}

}  // namespace ptsecure
