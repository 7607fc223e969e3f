#include "libptsecure/crypto/jwe_stream.hpp"
#include "libptsecure/package/plain_buffer.hpp"
#include "libptsecure/registry/publish.hpp"
#include "libptsecure/store/gridfs.hpp"

namespace ptsecure {
namespace {

constexpr std::uint64_t kMaxJwk = 64 * 1024;

Jwk private_jwk(std::string_view json) {
  Jwk key = Jwk::parse(json);
  if (key.is_private()) return key;
  throw Error(Status::no_key, "the JWK is a public key; the private one opens the JWE");
}

Jwk stored_jwk(const GridfsName& name, const CancelToken& cancel) {
  const auto file = open_gridfs_file(name, StoreOptions{}, cancel);
  if (file->size() > kMaxJwk) {
    throw Error(Status::limit_exceeded,
                "the file '" + name.filename + "' in GridFS takes more than 64 KiB: it is no JWK");
  }
  SecretBytes text(file->size());
  file->read(0, text.data(), text.size());
  return private_jwk(as_text(text.view()));
}

}  // namespace

std::uint64_t Registry::import_jwe(const std::string& name, PlainInput& text, std::string_view jwk,
                                   const std::optional<Sha256Digest>& plaintext,
                                   const Keyring& keys, const PublishOptions& options) const {
  check_publish(name, keys, options);
  return import_with(name, text, private_jwk(jwk), plaintext, keys, options);
}

std::uint64_t Registry::import_gridfs(const std::string& name, const GridfsName& source,
                                      const JwkPlace& jwk,
                                      const std::optional<Sha256Digest>& plaintext,
                                      const Keyring& keys, const PublishOptions& options) const {
  check_publish(name, keys, options);
  if (!jwk.filename.empty() && !plaintext) {
    throw Error(Status::invalid_argument,
                "whoever can write to the GridFS that holds both the JWE and its JWK can have made "
                "both: give the SHA-256 of the model (--sha256), from somebody you trust");
  }
  GridfsName key_name = source;
  key_name.filename = jwk.filename;
  key_name.id.clear();
  const Jwk key =
      jwk.filename.empty() ? private_jwk(jwk.json) : stored_jwk(key_name, options.cancel);
  const auto file = open_gridfs_file(source, StoreOptions{}, options.cancel);
  const auto text = callback_input(
      file->size(),
      [&file](std::uint64_t pos, void* dst, std::size_t n) { file->read(pos, dst, n); });
  return import_with(name, *text, key, plaintext, keys, options);
}

std::uint64_t Registry::import_with(const std::string& name, PlainInput& text, const Jwk& key,
                                    const std::optional<Sha256Digest>& plaintext,
                                    const Keyring& keys, const PublishOptions& options) const {
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
