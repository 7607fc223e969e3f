#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libptsecure/crypto/jwk.hpp"
#include "libptsecure/crypto/openssl.hpp"

namespace ptsecure {

// Names are string literals, values base64url text (curve names as they are).
using PublicMembers = std::vector<std::pair<const char*, std::string>>;
using PrivateMembers = std::vector<std::pair<const char*, SecretString>>;

struct Jwk::Impl {
  KeyType type = KeyType::oct;
  std::string curve;
  std::size_t bits = 0;
  std::string kid;
  std::string alg;
  std::string use;
  std::vector<std::string> key_ops;
  bool is_private = false;
  nlohmann::json extra = nlohmann::json::object();

  PublicMembers public_members;
  PrivateMembers private_members;
  SecretBytes secret;  // oct
  EvpPkey pkey;        // others

  Impl() = default;
  Impl(const Impl& other);
  Impl& operator=(const Impl&) = delete;

  const std::string& public_member(std::string_view name) const;
};

struct CurveInfo {
  const char* name;
  const char* group;  // OpenSSL's name
  std::size_t bits;
  std::size_t size;  // of a coordinate, in bytes
};
// nullptr for curves that aren't supported.
const CurveInfo* find_curve(std::string_view name) noexcept;

[[noreturn]] void refuse_jwk(const std::string& why);

// jwk_keys.cc: these fill pkey and bits from the members, and check that the key is sound.
void build_ec(Jwk::Impl& key);
void build_ed25519(Jwk::Impl& key);
void build_rsa(Jwk::Impl& key);

Jwk generate_ec(std::string_view curve);

// True when "use" and "key_ops" allow it: `use` must be the key's, and one of `ops` in key_ops.
bool key_permits(const Jwk& key, std::string_view use,
                 std::initializer_list<std::string_view> ops) noexcept;

}  // namespace ptsecure
