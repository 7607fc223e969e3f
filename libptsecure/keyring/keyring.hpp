#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/jwk.hpp"
#include "libptsecure/crypto/secret.hpp"

namespace ptsecure {

// The kinds of signed record, each with its own JWS typ. A trusted key lists which it may sign.
enum class RecordKind { manifest, alias, key, apikey, log };

const char* record_kind_name(RecordKind kind) noexcept;  // "manifest", as written in a JWK
const char* record_typ(RecordKind kind) noexcept;        // "ptsecure-manifest+jws"

// What a keyring can be cut down to.
enum class Role { publisher, opener, verifier, operator_ };
Role role_from_name(std::string_view name);  // throws Status::invalid_argument listing the names

// A compact JWE and the kid of the key that opens it.
struct Wrap {
  std::string kid;
  std::string jwe;
};

// The keys a process holds: a JWK Set (RFC 7517 section 5). Immutable and thread-safe; copies
// share.
//
// Signing keys ("use":"sig") carry a member "ptsecure": {"records": [kinds], "names": [patterns]}
// which says what their signatures are trusted for; a key without it is trusted for nothing. A
// pattern is a model name, or a prefix ending in '*'. Encryption keys ("use":"enc") wrap DEKs: EC
// P-256/384/521 (ECDH-ES+A256KW), RSA (RSA-OAEP-256) or oct 32 (A256KW).
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

  // Writes a new file, mode 0600 (0644 when all is public); never replaces one. With a passphrase
  // the file is an encrypted JWK Set (PBES2-HS512+A256KW, p2c 600000).
  void save(const std::string& path, std::string_view passphrase = {}) const;
  SecretString to_json() const;

  // publisher: private manifest keys, public of the other signing keys and of the wrapping keys.
  // opener: private wrapping keys, public signing keys. verifier: public signing keys only.
  // operator: private operator keys and private wrapping keys (rewrap needs them), public others.
  // Throws no_key when nothing of that role is here.
  Keyring split(Role role) const;
  // Every key's public part; symmetric keys are left out.
  Keyring public_part() const;

  bool has_private() const;
  // One line a key: kid, kty, what it is for; for listings. Never secret.
  std::string describe_json() const;

  // Signs a record of that kind (its typ) about that model name, by the first private key whose
  // policy lists signers[0], or else a later one of `signers`. Throws no_key saying what is
  // missing.
  std::string sign(RecordKind kind, std::span<const RecordKind> signers, std::string_view name,
                   ByteView payload) const;
  std::string sign(RecordKind kind, std::string_view name, ByteView payload) const {
    return sign(kind, std::span<const RecordKind>(&kind, 1), name, payload);
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
  // One JWE per wrapping key of this ring. Throws no_key when there is none.
  std::vector<Wrap> wrap(ByteView dek, std::string_view key_id) const;
  // Opens the first wrap whose kid this ring holds the private key of. Throws no_key listing the
  // kids that would open it, corrupt when the JWE is damaged or holds another key id.
  SecretBytes unwrap(const std::vector<Wrap>& wraps, std::string_view key_id) const;

  struct Entry;  // keyring/entry.hpp, for keyring/ alone

 private:
  explicit Keyring(std::vector<Entry> entries);
  const std::vector<Entry>& entries() const;

  std::shared_ptr<const std::vector<Entry>> keys_;
};

}  // namespace ptsecure
