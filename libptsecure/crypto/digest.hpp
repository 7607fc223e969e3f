#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/secret.hpp"

namespace ptsecure {

using Sha256Digest = std::array<std::uint8_t, 32>;

Sha256Digest sha256(ByteView bytes);

// SHA-256 over bytes that arrive in pieces. One thread at a time.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void update(ByteView bytes);
  // The digest of everything so far; afterwards the object starts again from nothing.
  Sha256Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// RFC 5869 with SHA-256; n at most 255 * 32.
SecretBytes hkdf_sha256(ByteView ikm, ByteView salt, ByteView info, std::size_t n);

// Takes the same time wherever the bytes differ; sizes are not secret.
bool equal_constant_time(ByteView a, ByteView b) noexcept;

// nullopt for what isn't 32 bytes in base64url.
std::optional<Sha256Digest> digest_from_base64url(std::string_view text);

// As people write one: 43 characters of base64url or 64 hexadecimal digits. Throws
// Status::invalid_argument naming `what`.
Sha256Digest parse_digest(std::string_view text, std::string_view what);

}  // namespace ptsecure
