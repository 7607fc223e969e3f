#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/cancel.hpp"
#include "libptsecure/crypto/jwk.hpp"

namespace ptsecure {

// A foreign JWE (compact, flattened or general JSON) of any size, whose ciphertext is decoded and
// decrypted as its text is read: beside the plaintext it takes a few MiB. The algorithms are those
// of JwePolicy::foreign and PBES2; zip is refused.
class JweStream {
 public:
  // Fills dst with bytes [pos, pos + n) of the text.
  using Read = std::function<void(std::uint64_t pos, void* dst, std::size_t n)>;

  // Finds the parts; of a JSON serialisation that means reading it once. Nothing is verified yet.
  // Status::corrupt for what is no JWE, Status::limit_exceeded when all but the ciphertext takes
  // more than 1 MiB.
  JweStream(std::uint64_t text_size, Read read);
  JweStream(JweStream&&) noexcept;
  ~JweStream();

  // Of the ciphertext; the plaintext is no longer.
  std::uint64_t ciphertext_size() const noexcept;

  // Writes the plaintext to `out`, which has ciphertext_size() bytes, and returns its size once the
  // tag or MAC of the whole holds. Else everything in `out` is zeroed and it throws as jwe_decrypt
  // does. The bytes that were decrypted are the bytes that were authenticated: it doesn't matter
  // whether the text changes meanwhile. An oct key is a passphrase where alg is PBES2.
  std::size_t decrypt(const Jwk& key, ByteSpan out, const CancelToken& cancel) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ptsecure
