#include "libptsecure/keyring/local_key.hpp"

#include <utility>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/jws.hpp"

namespace ptsecure {
namespace {

class LocalSigner final : public Signer {
 public:
  explicit LocalSigner(Jwk key) : key_(std::move(key)) {}
  const std::string& kid() const noexcept override { return key_.kid(); }
  std::string_view alg() const noexcept override { return jws_alg(key_); }
  Bytes sign(ByteView input, const CancelToken&) const override {
    return jws_signature(alg(), key_, input);
  }

 private:
  const Jwk key_;
};

class LocalRecipient final : public Recipient {
 public:
  explicit LocalRecipient(Jwk key) : key_(std::move(key)) {}
  const std::string& kid() const noexcept override { return key_.kid(); }
  Wrap wrap(ByteView key, const KeyContext&, const CancelToken&) const override {
    return {key_.kid(), {}, jwe_encrypt(key, key_, kContentKeyType)};
  }

 private:
  const Jwk key_;
};

class LocalUnwrapper final : public Unwrapper {
 public:
  explicit LocalUnwrapper(Jwk key) : key_(std::move(key)) {}
  const std::string& kid() const noexcept override { return key_.kid(); }
  bool may_open(const Wrap& wrap) const noexcept override {
    return wrap.is_jwe() && wrap.kid == key_.kid();
  }
  SecretBytes unwrap(const Wrap& wrap, const KeyContext&, const CancelToken&) const override {
    const JweHeader header = jwe_header(wrap.wrapped);
    if (!header.kid.empty() && header.kid != wrap.kid) {
      throw Error(Status::corrupt, "the encrypted object names another key");
    }
    if (header.cty != kContentKeyType) {
      throw Error(Status::corrupt, "the encrypted object's cty must be jwk+json");
    }
    return jwe_decrypt(wrap.wrapped, key_, JwePolicy::key_document);
  }

 private:
  const Jwk key_;
};

}  // namespace

std::shared_ptr<const Signer> local_signer(Jwk private_key) {
  return std::make_shared<const LocalSigner>(std::move(private_key));
}

std::shared_ptr<const Recipient> local_recipient(Jwk key) {
  return std::make_shared<const LocalRecipient>(std::move(key));
}

std::shared_ptr<const Unwrapper> local_unwrapper(Jwk private_key) {
  return std::make_shared<const LocalUnwrapper>(std::move(private_key));
}

}  // namespace ptsecure
