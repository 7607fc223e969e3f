#pragma once

#include <concepts>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/crypto/secret_json_fwd.hpp"

namespace ptsecure {

enum class KeyType { oct, ec, okp, rsa };

// A JSON Web Key (RFC 7517): oct, EC (P-256, P-384, P-521), OKP (Ed25519) or RSA (2048 to 8192
// bits). Immutable; copies share the key and are cheap; safe to use from many threads. Key material
// lies in secret memory, apart from OpenSSL's own copy of asymmetric keys.
class Jwk {
 public:
  // Status::corrupt for what isn't a sound key (malformed, duplicate members, wrong lengths, point
  // not on the curve, private and public parts that don't match, weak), Status::unsupported for
  // key types and curves other than those above.
  static Jwk parse(std::string_view json);
  template <std::same_as<SecretJson> Json>  // exact, else every string would convert to it
  static Jwk parse(const Json& json) {
    return from_json(json);
  }

  // With a kid: the thumbprint for asymmetric keys, a random one for symmetric.
  static Jwk generate_ed25519();
  static Jwk generate_p256();
  static Jwk generate_oct(std::size_t size);
  static Jwk from_secret(ByteView bytes);  // an oct key with these bytes and no kid

  KeyType type() const noexcept;
  const std::string& curve() const noexcept;  // "P-256", ..., "Ed25519"; empty for oct and RSA
  std::size_t bits() const noexcept;          // of the oct key, the RSA modulus or the curve

  const std::string& kid() const noexcept;  // empty where absent, as the next two
  const std::string& alg() const noexcept;
  const std::string& use() const noexcept;
  const std::vector<std::string>& key_ops() const noexcept;

  // True for symmetric keys too.
  bool is_private() const noexcept;

  // RFC 7638 with SHA-256, base64url. For symmetric keys it is a hash of the secret: keep it as
  // such.
  std::string thumbprint() const;

  // Members that say nothing about the key itself (not those with a getter here), as a JSON object.
  const nlohmann::json& extra() const noexcept;

  // The same key with kid, alg, use, key_ops and any other members set (or removed, by null) from
  // a JSON object. Status::invalid_argument for members that are key material.
  Jwk with_members(const nlohmann::json& members) const;

  // public_json of a symmetric key throws Status::invalid_argument, as does public_part, and
  // private_json of a public key.
  std::string public_json() const;
  SecretString private_json() const;
  Jwk public_part() const;

  // The bytes of an oct key; empty for others.
  ByteView secret() const noexcept;

  struct Impl;  // crypto/jwk_impl.hpp, for crypto/ alone
  explicit Jwk(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  const Impl& impl() const noexcept { return *impl_; }

 private:
  static Jwk from_json(const SecretJson& json);

  std::shared_ptr<const Impl> impl_;
};

}  // namespace ptsecure
