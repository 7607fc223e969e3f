#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/cancel.hpp"
#include "libptsecure/crypto/secret.hpp"

// What a key does, wherever its secret lies: in this process (a JWK, local_key.cc is the provider),
// in a token, behind a service. A keyring holds any mix, see Keyring::with_signer and those after.
//
// For all three: immutable as far as callers see, called from any number of threads at once. Who
// waits looks at `cancel` at least once a second and throws what its check() throws; nothing else
// ends a call that hangs. What goes wrong is an Error whose message is one sentence without a
// secret, which is shown as it stands, behind the kid. Arguments are the caller's again once the
// call has returned.
namespace ptsecure {

// A key that signs records.
class Signer {
 public:
  virtual ~Signer() = default;
  // The kid of its public key in the keyring, where it also stands what the key may sign.
  virtual const std::string& kid() const noexcept = 0;
  virtual std::string_view alg() const noexcept = 0;  // "EdDSA" (Ed25519) or "ES256"
  // The bare signature of these bytes (a JWS's signing input, not its digest): 64 bytes, for ES256
  // r and s in a row. The keyring checks it with the public key before it believes it.
  virtual Bytes sign(ByteView input, const CancelToken& cancel) const = 0;
};

// Which content key is wrapped or unwrapped. A provider that can bind data to what it encrypts
// binds these four; they are no secret.
struct KeyContext {
  std::string store_id;
  std::string key_id;
  std::string name;  // what the content key sealed
  std::uint64_t version = 0;
};

// One recipient's copy of a content key. What is wrapped is always the same: an oct JWK, the text
// that wrap.cc describes.
struct Wrap {
  std::string kid;
  std::string provider;  // empty: `wrapped` is a compact JWE, which any JOSE library opens
  std::string wrapped;   // else a text of that provider, printable and of at most 64 KiB

  bool is_jwe() const noexcept { return provider.empty(); }
};

// A key that content keys can be wrapped for.
class Recipient {
 public:
  virtual ~Recipient() = default;
  virtual const std::string& kid() const noexcept = 0;
  // `key` is the JWK's text. The result carries this recipient's kid.
  virtual Wrap wrap(ByteView key, const KeyContext& context, const CancelToken& cancel) const = 0;
};

// A key, or a holder of several, that opens what was wrapped for it.
class Unwrapper {
 public:
  virtual ~Unwrapper() = default;
  // For a holder of several keys, the name it goes by.
  virtual const std::string& kid() const noexcept = 0;
  // Whether this entry could belong to it, found out without asking anybody else.
  virtual bool may_open(const Wrap& wrap) const noexcept { return wrap.kid == kid(); }
  // The JWK's text. The keyring checks what it says, so another key's is an error, not a mix-up.
  // Status::no_key: this entry isn't for me after all; Status::corrupt: it is damaged.
  virtual SecretBytes unwrap(const Wrap& wrap, const KeyContext& context,
                             const CancelToken& cancel) const = 0;
};

}  // namespace ptsecure
