#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/cancel.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/jwk.hpp"
#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/keyring/provider.hpp"

namespace ptsecure {

class KeyPolicy;

// The kinds of signed record, each with its own JWS typ. A trusted key lists which it may sign.
enum class RecordKind { manifest, alias, key, apikey, log };

const char* record_kind_name(RecordKind kind) noexcept;  // "manifest", as written in a JWK
const char* record_typ(RecordKind kind) noexcept;        // "ptsecure-manifest+jws"

// What a keyring can be cut down to.
enum class Role { publisher, opener, verifier, operator_ };
Role role_from_name(std::string_view name);  // throws Status::invalid_argument listing the names

// The keys a process holds: a JWK Set (RFC 7517 section 5). Immutable and thread-safe; copies
// share.
//
// Signing keys ("use":"sig") carry a member "ptsecure": {"records": [kinds], "names": [patterns]}
// which says what their signatures are trusted for; a key without it is trusted for nothing. A
// pattern is a model name, or a prefix ending in '*'. Encryption keys ("use":"enc") wrap DEKs: EC
// P-256/384/521 (ECDH-ES+A256KW), RSA (RSA-OAEP-256) or oct 32 (A256KW).
//
// Keys whose secret lies elsewhere are put beside those by with_signer and the like; a keyring
// holds any mix.
class Keyring {
 public:
  Keyring() = default;  // holds nothing

  struct LoadOptions {
    SecretString passphrase;        // for a file encrypted with one (PBES2); empty = none
    bool allow_group_read = false;  // accept 0440 / 0640, as Kubernetes mounts secrets
  };

  // A JWK Set file. One with private or symmetric keys must be a regular file owned by the user or
  // root with no permission for group or others (checked on the opened descriptor); public-only
  // sets are exempt unless anybody may write them. Throws permission_denied with the chmod that
  // fixes it, no_key for a wrong passphrase.
  static Keyring load(const std::string& path, const LoadOptions& options);
  // JWK Set, or an encrypted one (a compact JWE of it, cty jwk-set+json).
  static Keyring parse(std::string_view json, const LoadOptions& options);
  // From the environment variable's text.
  static Keyring from_env(const char* variable, const LoadOptions& options);
  // A publisher's Ed25519 key (manifest, log), an operator's (alias, key, apikey, log) and a P-256
  // key to wrap: every role in one.
  static Keyring generate();

  // This keyring and a key that signs, unwraps or wraps elsewhere. The first is for a public
  // signing key that is here already and says what it may sign; the second adds it, with what is
  // given. A key that content keys are wrapped for joins the one of its kid, if there is one: an
  // Unwrapper the public JWK that they are wrapped by, or the Recipient of the same provider. Throw
  // Status::no_key when the public key isn't here, Status::invalid_argument for a key that is of
  // another use or algorithm, or that somebody does this for already.
  Keyring with_signer(std::shared_ptr<const Signer> signer) const;
  Keyring with_signer(std::shared_ptr<const Signer> signer, const Jwk& public_key,
                      const KeyPolicy& policy) const;
  Keyring with_recipient(std::shared_ptr<const Recipient> recipient) const;
  Keyring with_unwrapper(std::shared_ptr<const Unwrapper> unwrapper) const;

  // Writes a new file, mode 0600 (0644 when all is public); never replaces one. With a passphrase
  // the file is an encrypted JWK Set (PBES2-HS512+A256KW, p2c 600000). Status::unsupported, as
  // to_json(), when a key is with a provider: what a file can't hold isn't left out in silence.
  void save(const std::string& path, std::string_view passphrase = {}) const;
  SecretString to_json() const;

  // publisher: private manifest keys, public of the other signing keys and of the wrapping keys.
  // opener: private wrapping keys, public signing keys. verifier: public signing keys only.
  // operator: private operator keys and private wrapping keys (rewrap needs them), public others.
  // A key that a provider signs or unwraps with goes where a private one would.
  // Throws no_key when nothing of that role is here.
  Keyring split(Role role) const;
  // Every key's public part, which can be saved; symmetric keys and those that are no JWK at all
  // are left out.
  Keyring public_part() const;

  // Whether a private or symmetric key lies in this process; those of providers don't count.
  bool has_private() const;
  // One line a key: kid, kty (not of what is no JWK), what it is for, "provider": true where one
  // signs, wraps or unwraps with it; for listings. Never secret.
  std::string describe_json() const;

  // Signs a record of that kind (its typ) about that model name, by the first key that signs here
  // and whose policy lists signers[0], or else a later one of `signers`. Throws no_key saying what
  // is missing, Status::untrusted when a provider's signature doesn't hold, and what the provider
  // throws.
  std::string sign(RecordKind kind, std::span<const RecordKind> signers, std::string_view name,
                   ByteView payload, const CancelToken& cancel = {}) const;
  std::string sign(RecordKind kind, std::string_view name, ByteView payload,
                   const CancelToken& cancel = {}) const {
    return sign(kind, std::span<const RecordKind>(&kind, 1), name, payload, cancel);
  }
  bool can_sign(RecordKind kind, std::string_view name) const;
  // The kid of the key that sign() takes for such a record; empty when there is none.
  std::string signer_of(RecordKind kind, std::string_view name) const;
  // Whether verify() takes signatures of this kid for these kinds and this name at all.
  bool trusts(std::span<const RecordKind> kinds, std::string_view name, std::string_view kid) const;

  // Verifies a record and returns its payload bytes. Only a key of this keyring, found by kid,
  // whose policy lists one of `kinds` and a pattern matching `name`, counts; the JWS typ must be
  // that of kinds[0]. Throws untrusted, or corrupt for what is no JWS at all.
  Bytes verify(std::span<const RecordKind> kinds, std::string_view name, std::string_view jws,
               std::string* signer_kid = nullptr) const;

  bool can_wrap() const;
  // One entry per wrapping key of this ring. Throws no_key when there is none, and what a provider
  // throws: all are wrapped for, or nobody.
  std::vector<Wrap> wrap(ByteView dek, const KeyContext& context, const CancelToken& cancel) const;
  // Asks each key that an entry could belong to, those of this process first, until one opens an
  // entry to the content key of this id and commitment; a damaged entry hides no other. Else throws
  // one error with what each said: no_key listing the kids when nobody could be asked, corrupt when
  // an entry is damaged or holds another key, or what stopped the first provider. Ends at once when
  // cancelled or out of time.
  SecretBytes unwrap(std::span<const Wrap> wraps, const KeyContext& context,
                     const Sha256Digest& commitment, const CancelToken& cancel) const;

  struct Entry;  // keyring/entry.hpp, for keyring/ alone

 private:
  explicit Keyring(std::vector<Entry> entries);
  const std::vector<Entry>& entries() const;
  const Entry* find(std::string_view kid) const;
  template <class Part>
  Keyring with_part(std::shared_ptr<const Part> part) const;

  std::shared_ptr<const std::vector<Entry>> keys_;
};

}  // namespace ptsecure
