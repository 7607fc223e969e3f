#include "libptsecure/keyring/keyring.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/keyring/entry.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

constexpr std::array kOperatorKinds = {RecordKind::alias, RecordKind::key, RecordKind::apikey};
constexpr RecordKind kManifest = RecordKind::manifest;

struct KindNames {
  const char* name;
  const char* typ;
};

KindNames names_of(RecordKind kind) noexcept {
  switch (kind) {
    case RecordKind::manifest:
      return {"manifest", "ptsecure-manifest+jws"};
    case RecordKind::alias:
      return {"alias", "ptsecure-alias+jws"};
    case RecordKind::key:
      return {"key", "ptsecure-key+jws"};
    case RecordKind::apikey:
      return {"apikey", "ptsecure-apikey+jws"};
    case RecordKind::log:
      return {"log", "ptsecure-log+jws"};
  }
  return {"unknown", "unknown"};
}

}  // namespace

std::string shown(std::string_view text) {
  std::string out(text.substr(0, 64));
  for (char& c : out) {
    if (c <= 0x20 || c >= 0x7f) c = '?';
  }
  return out.empty() ? "(none)" : out;
}

const char* record_kind_name(RecordKind kind) noexcept {
  return names_of(kind).name;
}
const char* record_typ(RecordKind kind) noexcept {
  return names_of(kind).typ;
}

Role role_from_name(std::string_view name) {
  if (name == "publisher") return Role::publisher;
  if (name == "opener") return Role::opener;
  if (name == "verifier") return Role::verifier;
  if (name == "operator") return Role::operator_;
  throw Error(Status::invalid_argument,
              "the role must be publisher, opener, verifier or operator, not " + shown(name));
}

Keyring::Keyring(std::vector<Entry> entries) {
  std::set<std::string_view> kids;
  for (const Entry& entry : entries) {
    if (!kids.insert(entry.kid).second) {
      throw Error(Status::corrupt,
                  "two keys of the key set have the kid " + entry.kid + ": remove or rename one");
    }
  }
  keys_ = std::make_shared<const std::vector<Entry>>(std::move(entries));
}

const std::vector<Keyring::Entry>& Keyring::entries() const {
  static const std::vector<Entry> kNone;
  return keys_ ? *keys_ : kNone;
}

const Keyring::Entry* Keyring::find(std::string_view kid) const {
  const auto found = std::find_if(entries().begin(), entries().end(),
                                  [kid](const Entry& entry) { return entry.kid == kid; });
  return found == entries().end() ? nullptr : &*found;
}

Keyring Keyring::generate() {
  const auto signing = [](std::vector<RecordKind> kinds) {
    return Entry(Jwk::generate_ed25519().with_members(
        {{"use", "sig"},
         {"alg", "EdDSA"},
         {"ptsecure", KeyPolicy(std::move(kinds), {"*"}).to_json()}}));
  };
  std::vector<Entry> entries;
  entries.push_back(signing({RecordKind::manifest, RecordKind::log}));
  entries.push_back(
      signing({RecordKind::alias, RecordKind::key, RecordKind::apikey, RecordKind::log}));
  entries.emplace_back(
      Jwk::generate_p256().with_members({{"use", "enc"}, {"alg", "ECDH-ES+A256KW"}}));
  return Keyring(std::move(entries));
}

template <class Part>
Keyring Keyring::with_part(std::shared_ptr<const Part> part) const {
  std::vector<Entry> all = entries();
  const std::string kid = part->kid();
  const Entry* here = find(kid);
  if (here == nullptr) all.push_back(Entry::of_provider(kid));
  Entry& entry = here == nullptr ? all.back() : all[static_cast<std::size_t>(here - &entries()[0])];
  entry.attach(std::move(part));
  return Keyring(std::move(all));
}

Keyring Keyring::with_signer(std::shared_ptr<const Signer> signer) const {
  if (find(signer->kid()) == nullptr) {
    throw Error(Status::no_key, "the keyring holds no public key of the kid " +
                                    shown(signer->kid()) + ": add it first, with what it may sign");
  }
  return with_part(std::move(signer));
}

Keyring Keyring::with_signer(std::shared_ptr<const Signer> signer, const Jwk& public_key,
                             const KeyPolicy& policy) const {
  const std::string kid = signer->kid();
  if (find(kid) != nullptr || (!public_key.kid().empty() && public_key.kid() != kid)) {
    throw Error(Status::invalid_argument,
                "a signer of the kid " + shown(kid) +
                    " can't be added with this public key: the kid is that of another key");
  }
  std::vector<Entry> all = entries();
  all.emplace_back(public_key.public_part().with_members(
      {{"kid", kid}, {"use", "sig"}, {"ptsecure", policy.to_json()}}));
  return Keyring(std::move(all)).with_part(std::move(signer));
}

Keyring Keyring::with_recipient(std::shared_ptr<const Recipient> recipient) const {
  return with_part(std::move(recipient));
}

Keyring Keyring::with_unwrapper(std::shared_ptr<const Unwrapper> unwrapper) const {
  return with_part(std::move(unwrapper));
}

Keyring Keyring::split(Role role) const {
  const auto keeps_private = [role](const Entry& entry) {
    const bool wraps = entry.use == Entry::Use::wrap;
    if (!entry.acts()) return true;  // it has nothing that is private
    switch (role) {
      case Role::publisher:
        // Who wraps with a symmetric key must hold it.
        return wraps ? entry.is_symmetric() : entry.policy.lists_any({&kManifest, 1});
      case Role::opener:
        return wraps;
      case Role::verifier:
        return false;
      case Role::operator_:
        return wraps || entry.policy.lists_any(kOperatorKinds);
    }
    return false;
  };
  // The key without which the role is none.
  const auto makes_role = [role](const Entry& entry) {
    if (role == Role::opener) return entry.unwrapper != nullptr;
    if (entry.use != Entry::Use::sign) return false;
    return role == Role::verifier || entry.signer != nullptr;
  };
  std::vector<Entry> kept;
  bool found = false;
  for (const Entry& entry : entries()) {
    if (role == Role::verifier && entry.use == Entry::Use::wrap) continue;
    const bool as_is = keeps_private(entry);
    found = found || (makes_role(entry) && (as_is || role == Role::verifier));
    if (as_is) {
      kept.push_back(entry);
    } else if (auto part = entry.public_part()) {
      kept.push_back(std::move(*part));
    }
  }
  if (!found) {
    constexpr std::array kLacks = {
        "private key that signs manifests, so it can't become a publisher's",
        "private key that unwraps, so it can't become an opener's",
        "signing key, so it can't become a verifier's",
        "private key that signs aliases or key records, so it can't become an operator's"};
    throw Error(Status::no_key,
                std::string("the keyring has no ") + kLacks[static_cast<std::size_t>(role)]);
  }
  return Keyring(std::move(kept));
}

Keyring Keyring::public_part() const {
  std::vector<Entry> kept;
  for (const Entry& entry : entries()) {
    auto part = entry.public_part();
    if (part && part->key) kept.push_back(std::move(*part));
  }
  return Keyring(std::move(kept));
}

bool Keyring::has_private() const {
  return std::any_of(entries().begin(), entries().end(),
                     [](const Entry& entry) { return entry.is_private(); });
}

SecretString Keyring::to_json() const {
  SecretString text;
  text.reserve(64);
  text = "{\"keys\":[";
  bool first = true;
  for (const Entry& entry : entries()) {
    if (entry.is_provided()) {
      throw Error(Status::unsupported,
                  "the key " + entry.kid +
                      " is with a provider and can't be written into a key set; write the "
                      "keyring's public part, or the keyring as it was before this key was added");
    }
    if (!std::exchange(first, false)) text += ',';
    text += entry.is_private() ? entry.key->private_json() : SecretString(entry.key->public_json());
  }
  text += "]}\n";
  return text;
}

std::string Keyring::describe_json() const {
  constexpr std::array kTypes = {"oct", "EC", "OKP", "RSA"};
  std::string text = "[";
  for (const Entry& entry : entries()) {
    json line = {{"kid", entry.kid},
                 {"private", entry.is_private()},
                 {"use", entry.use == Entry::Use::sign ? "sig" : "enc"}};
    if (entry.key) line["kty"] = kTypes[static_cast<std::size_t>(entry.key->type())];
    if (entry.key && !entry.key->curve().empty()) line["crv"] = entry.key->curve();
    if (entry.is_provided()) line["provider"] = true;
    if (entry.use == Entry::Use::sign) line.update(entry.policy.to_json());
    text += (text.size() == 1 ? "\n" : ",\n") + line.dump();
  }
  return text + (text.size() == 1 ? "]" : "\n]");
}

std::string Keyring::signer_of(RecordKind kind, std::string_view name) const {
  for (const Entry& entry : entries()) {
    if (entry.signer && entry.policy.allows({&kind, 1}, name)) return entry.kid;
  }
  return {};
}

bool Keyring::can_sign(RecordKind kind, std::string_view name) const {
  return !signer_of(kind, name).empty();
}

bool Keyring::trusts(std::span<const RecordKind> kinds, std::string_view name,
                     std::string_view kid) const {
  return std::any_of(entries().begin(), entries().end(), [&](const Entry& entry) {
    return entry.use == Entry::Use::sign && entry.kid == kid && entry.policy.allows(kinds, name);
  });
}

std::string Keyring::sign(RecordKind kind, std::span<const RecordKind> signers,
                          std::string_view name, ByteView payload,
                          const CancelToken& cancel) const {
  for (const RecordKind& signer : signers) {
    for (const Entry& entry : entries()) {
      if (!entry.signer || !entry.policy.allows({&signer, 1}, name)) continue;
      std::string input = jws_signing_input(payload, *entry.key, record_typ(kind));
      const Bytes signature = entry.sign(as_bytes(input), cancel);
      return jws_compact(std::move(input), signature);
    }
  }
  throw Error(Status::no_key, "the keyring holds no private key that may sign a record of kind " +
                                  std::string(record_kind_name(kind)) + " for \"" + shown(name) +
                                  "\": use a keyring of the role that does this");
}

Bytes Keyring::verify(std::span<const RecordKind> kinds, std::string_view name,
                      std::string_view jws, std::string* signer_kid) const {
  const RecordKind kind = kinds.front();
  const std::string kid = jws_header(jws).kid;
  const Entry* found = find(kid);
  const std::string record = std::string("the ") + record_kind_name(kind) + " record of \"" +
                             shown(name) + "\" is signed by the key " + shown(kid);
  if (found == nullptr || found->use != Entry::Use::sign) {
    throw Error(Status::untrusted, record +
                                       ", which the keyring doesn't hold: add the signer's "
                                       "public key if you trust it");
  }
  if (!found->policy.allows(kinds, name)) {
    throw Error(Status::untrusted,
                record + ", which the keyring doesn't trust for records of that kind and name");
  }
  Bytes payload = jws_verify(jws, *found->key, record_typ(kind));
  if (signer_kid != nullptr) *signer_kid = kid;
  return payload;
}

}  // namespace ptsecure
