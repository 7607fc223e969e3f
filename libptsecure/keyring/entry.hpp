#pragma once

#include <memory>
#include <optional>
#include <string>

#include "libptsecure/keyring/key_policy.hpp"
#include "libptsecure/keyring/keyring.hpp"
#include "libptsecure/keyring/provider.hpp"

namespace ptsecure {

// A text of the other side in a message: short, printable.
std::string shown(std::string_view text);

// One key of a keyring: what it is for, and who does it.
struct Keyring::Entry {
  enum class Use { sign, wrap };

  // Throws Status::corrupt for a key that contradicts itself, Status::unsupported for one of a type
  // or algorithm that a keyring has no use for.
  explicit Entry(Jwk jwk);
  // A key to wrap with that is no JWK here: who does it is attached next.
  static Entry of_provider(const std::string& kid);

  // Throw Status::invalid_argument when the entry is of another use or has one already.
  void attach(std::shared_ptr<const Signer> who);
  void attach(std::shared_ptr<const Recipient> who);
  void attach(std::shared_ptr<const Unwrapper> who);

  // True when the secret lies in this process.
  bool is_private() const { return key && key->is_private(); }
  bool is_symmetric() const { return key && key->type() == KeyType::oct; }
  // True when something of what it does is done by a provider.
  bool is_provided() const;
  // True when this keyring signs or unwraps with it.
  bool acts() const { return signer || unwrapper; }
  // What lets others verify with it and wrap to it; nothing of a symmetric key.
  std::optional<Entry> public_part() const;

  // These do what the entry has somebody for. What a provider throws becomes an Error, after a
  // cancel that of the token, and what it gives is checked: a signature with the public key, a wrap
  // for its form. What it unwraps is the caller's to check.
  Bytes sign(ByteView input, const CancelToken& cancel) const;
  Wrap wrap(ByteView document, const KeyContext& context, const CancelToken& cancel) const;
  SecretBytes unwrap(const Wrap& wrap, const KeyContext& context, const CancelToken& cancel) const;

  std::string kid;
  Use use;
  std::optional<Jwk> key;  // of a signing key always
  KeyPolicy policy;        // of a signing key
  std::shared_ptr<const Signer> signer;
  std::shared_ptr<const Recipient> recipient;
  std::shared_ptr<const Unwrapper> unwrapper;

 private:
  Entry() = default;
};

}  // namespace ptsecure
