#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jwk_impl.hpp"
#include "libptsecure/crypto/random.hpp"

namespace ptsecure {

namespace {

SecretString private_bignum(EVP_PKEY* pkey, std::size_t size) {
  BIGNUM* raw = nullptr;
  openssl_must(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &raw) == 1, "a new key");
  const Bignum number(raw);
  SecretBytes bytes(size);
  openssl_must(BN_bn2binpad(raw, bytes.data(), static_cast<int>(size)) >= 0, "a new key");
  return base64url_encode_secret(bytes.view());
}

Jwk with_thumbprint(std::shared_ptr<Jwk::Impl> key) {
  key->kid = Jwk(key).thumbprint();
  return Jwk(std::move(key));
}

}  // namespace

Jwk generate_ec(std::string_view name) {
  OpensslErrors errors;
  const CurveInfo* curve = find_curve(name);
  if (curve == nullptr) throw Error(Status::unsupported, "the curve is not supported");
  auto key = std::make_shared<Jwk::Impl>();
  key->type = KeyType::ec;
  key->curve = curve->name;
  key->bits = curve->bits;
  key->is_private = true;
  key->pkey.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve->group));
  Bytes point(1 + 2 * curve->size);
  std::size_t size = 0;
  openssl_must(key->pkey &&
                   EVP_PKEY_get_octet_string_param(key->pkey.get(), OSSL_PKEY_PARAM_PUB_KEY,
                                                   point.data(), point.size(), &size) == 1 &&
                   size == point.size() && point[0] == 4,
               "a new EC key");
  const ByteView coordinates = ByteView(point).subspan(1);
  key->public_members = {{"crv", curve->name},
                         {"x", base64url_encode(coordinates.first(curve->size))},
                         {"y", base64url_encode(coordinates.last(curve->size))}};
  key->private_members.emplace_back("d", private_bignum(key->pkey.get(), curve->size));
  return with_thumbprint(std::move(key));
}

Jwk Jwk::generate_p256() {
  return generate_ec("P-256");
}

Jwk Jwk::generate_ed25519() {
  OpensslErrors errors;
  auto key = std::make_shared<Impl>();
  key->type = KeyType::okp;
  key->curve = "Ed25519";
  key->bits = 256;
  key->is_private = true;
  key->pkey.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  Bytes x(32);
  SecretBytes d(32);
  std::size_t x_size = x.size(), d_size = d.size();
  openssl_must(key->pkey && EVP_PKEY_get_raw_public_key(key->pkey.get(), x.data(), &x_size) == 1 &&
                   EVP_PKEY_get_raw_private_key(key->pkey.get(), d.data(), &d_size) == 1,
               "a new Ed25519 key");
  key->public_members = {{"crv", key->curve}, {"x", base64url_encode(x)}};
  key->private_members.emplace_back("d", base64url_encode_secret(d.view()));
  return with_thumbprint(std::move(key));
}

Jwk Jwk::generate_oct(std::size_t size) {
  return from_secret(SecretBytes::random(size).view()).with_members({{"kid", random_id()}});
}

Jwk Jwk::from_secret(ByteView bytes) {
  SecretString json;
  json.reserve(64);
  json.append("{\"kty\":\"oct\",\"k\":\"").append(base64url_encode_secret(bytes)).append("\"}");
  return parse(json);
}

}  // namespace ptsecure
