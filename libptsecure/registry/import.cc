#include "libptsecure/crypto/jwe_stream.hpp"
#include "libptsecure/package/plain_buffer.hpp"
#include "libptsecure/registry/publish.hpp"

namespace ptsecure {
namespace {

constexpr std::uint64_t kMaxJwk = 64 * 1024;

void check_jwk_size(std::uint64_t size) {
  if (size > kMaxJwk) {
    throw Error(Status::limit_exceeded, "what is given as the JWK takes " + std::to_string(size) +
                                            " bytes, more than 64 KiB: it is no JWK");
  }
}

Jwk private_jwk(std::string_view json) {
  check_jwk_size(json.size());
  Jwk key = Jwk::parse(json);
  if (key.is_private()) return key;
  throw Error(Status::no_key, "the JWK is a public key; the private one opens the JWE");
}

Jwk read_jwk(PlainInput& input) {
  check_jwk_size(input.size());
  SecretBytes text(static_cast<std::size_t>(input.size()));
  input.read(0, text.data(), text.size());
  return private_jwk(as_text(text.view()));
}

Jwk jwk_of(const ImportOptions& import) {
  return import.jwk_input == nullptr ? private_jwk(import.jwk) : read_jwk(*import.jwk_input);
}

}  // namespace

std::uint64_t Registry::import_jwe(const std::string& name, PlainInput& text,
                                   const ImportOptions& import, const Keyring& keys,
                                   const PublishOptions& options) const {
  check_publish(name, keys, options);
  if (import.jwk_input != nullptr && import.jwk_input->others_may_write() && !import.plaintext) {
    throw Error(Status::invalid_argument,
                "whoever can write to the GridFS that holds the JWK can have made the JWE too: "
                "give the SHA-256 of the model (--sha256), from somebody you trust");
  }
  const Jwk key = jwk_of(import);
  if (key.type() != KeyType::oct && !import.plaintext) {
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
  if (import.plaintext && sha256(model) != *import.plaintext) {
    throw Error(
        Status::corrupt,
        "the JWE opens, but what it holds has another SHA-256 than the one given: it is not "
        "the model you expect");
  }
  const auto input = memory_input(model);
  return publish(name, *input, keys, options);
}

}  // namespace ptsecure
