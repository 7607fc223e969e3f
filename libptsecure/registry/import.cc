#include "libptsecure/crypto/jwe_stream.hpp"
#include "libptsecure/package/plain_buffer.hpp"
#include "libptsecure/registry/publish.hpp"

namespace ptsecure {

std::uint64_t Registry::import_jwe(const std::string& name, PlainInput& text, const Jwk& key,
                                   const std::optional<Sha256Digest>& plaintext,
                                   const Keyring& keys, const PublishOptions& options) const {
  check_publish(name, keys, options);
  if (key.type() != KeyType::oct && !plaintext) {
    throw Error(Status::invalid_argument,
                "anybody with the public key can have made this JWE: give the SHA-256 of the model "
                "(--sha256), from somebody you trust");
  }
  const JweStream jwe(text.size(), [&text](std::uint64_t pos, void* dst, std::size_t n) {
    text.read(pos, dst, n);
  });
  PlainBuffer buffer(jwe.ciphertext_size());
  const std::size_t size = jwe.decrypt(key, buffer.first(jwe.ciphertext_size()), options.cancel);
  const ByteView model = buffer.first(size);
  if (plaintext && sha256(model) != *plaintext) {
    throw Error(
        Status::corrupt,
        "the JWE opens, but what it holds has another SHA-256 than the one given: it is not "
        "the model you expect");
  }
  const auto input = memory_input(model);
  return publish(name, *input, keys, options);
}

}  // namespace ptsecure
