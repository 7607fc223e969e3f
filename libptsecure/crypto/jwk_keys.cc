#include <algorithm>
#include <array>
#include <cstring>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/jwk_impl.hpp"

namespace ptsecure {

namespace {

constexpr std::array<CurveInfo, 3> kCurves{{{"P-256", "prime256v1", 256, 32},
                                            {"P-384", "secp384r1", 384, 48},
                                            {"P-521", "secp521r1", 521, 66}}};
constexpr std::size_t kEd25519Size = 32;
constexpr std::size_t kMinRsaBits = 2048;
constexpr std::size_t kMaxRsaBits = 8192;

SecretBytes exact_bytes(const char* name, std::string_view text, std::size_t size) {
  SecretBytes bytes = base64url_decode_secret(text);
  if (bytes.size() != size) {
    refuse_jwk(std::string(name) + " must have " + std::to_string(size) + " bytes, found " +
               std::to_string(bytes.size()));
  }
  return bytes;
}

std::string_view private_member(const Jwk::Impl& key, std::string_view name) {
  for (const auto& [member, value] : key.private_members) {
    if (name == member) return value;
  }
  refuse_jwk("the private member " + std::string(name) + " is missing");
}

Bignum to_bignum(ByteView bytes) {
  Bignum number(BN_secure_new());
  openssl_must(number && BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), number.get()),
               "big numbers");
  return number;
}

EvpPkey from_params(const char* type, OSSL_PARAM_BLD* builder, bool is_private) {
  Params params(OSSL_PARAM_BLD_to_param(builder));
  EvpPkeyCtx ctx(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  openssl_must(params && ctx && EVP_PKEY_fromdata_init(ctx.get()) == 1, "keys of this type");
  EVP_PKEY* pkey = nullptr;
  const int selection = is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
  if (EVP_PKEY_fromdata(ctx.get(), &pkey, selection, params.get()) != 1) return nullptr;
  return EvpPkey(pkey);
}

bool sound(EVP_PKEY* pkey, bool is_private) {
  EvpPkeyCtx ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
  openssl_must(ctx != nullptr, "key checks");
  return is_private ? EVP_PKEY_check(ctx.get()) == 1 : EVP_PKEY_public_check(ctx.get()) == 1;
}

// The y coordinates of the points whose order divides 8: keys anybody can sign for.
bool of_small_order(ByteView point) {
  static constexpr std::array<std::array<std::uint8_t, 32>, 2> kOrder8{{
      {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
       0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
       0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
      {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
       0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
       0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
  }};
  std::array<std::uint8_t, 32> y{};
  std::copy(point.begin(), point.end(), y.begin());
  y[31] &= 0x7f;
  const bool middle_zero = std::all_of(y.begin() + 1, y.end(), [](auto b) { return b == 0; });
  if (middle_zero && y[0] <= 1) return true;
  // y >= 2^255 - 20, that is -1, or not reduced modulo 2^255 - 19.
  const bool middle_ones = std::all_of(y.begin() + 1, y.end() - 1, [](auto b) { return b == 255; });
  if (middle_ones && y[31] == 0x7f && y[0] >= 0xec) return true;
  return std::find(kOrder8.begin(), kOrder8.end(), y) != kOrder8.end();
}

// RSA moduli of the flawed generator of CVE-2017-15361 lie in the subgroup that 65537 generates,
// modulo each of these primes.
bool has_roca_fingerprint(const BIGNUM* n) {
  static constexpr std::array<BN_ULONG, 17> kPrimes{11, 13, 17,  19,  37,  53,  61,  71, 73,
                                                    79, 97, 103, 107, 109, 127, 151, 157};
  for (const BN_ULONG prime : kPrimes) {
    const BN_ULONG wanted = BN_mod_word(n, prime);
    BN_ULONG power = 1;
    do {
      power = power * (65537 % prime) % prime;
    } while (power != wanted && power != 1);
    if (power != wanted) return false;
  }
  return true;
}

void check_rsa_public(const BIGNUM* n, const BIGNUM* e) {
  const auto bits = static_cast<std::size_t>(BN_num_bits(n));
  if (bits < kMinRsaBits || bits > kMaxRsaBits || !BN_is_odd(n)) {
    refuse_jwk("an RSA modulus must be odd and of 2048 to 8192 bits, found " +
               std::to_string(bits));
  }
  if (BN_num_bits(e) < 2 || BN_num_bits(e) > 64 || !BN_is_odd(e)) {
    refuse_jwk("an RSA exponent must be odd, at least 3 and at most of 64 bits");
  }
  if (has_roca_fingerprint(n)) refuse_jwk("the RSA key is of a weak generator (CVE-2017-15361)");
}

Bignum rsa_number(const char* name, std::string_view text) {
  const SecretBytes bytes = base64url_decode_secret(text);
  if (bytes.empty() || bytes.data()[0] == 0 || bytes.size() > kMaxRsaBits / 8) {
    refuse_jwk(std::string(name) + " is empty, too long or starts with a zero byte");
  }
  return to_bignum(bytes.view());
}

}  // namespace

const CurveInfo* find_curve(std::string_view name) noexcept {
  const auto* found = std::find_if(kCurves.begin(), kCurves.end(),
                                   [&](const CurveInfo& curve) { return name == curve.name; });
  return found == kCurves.end() ? nullptr : found;
}

void build_ec(Jwk::Impl& key) {
  OpensslErrors errors;
  const CurveInfo& curve = *find_curve(key.curve);
  key.bits = curve.bits;
  Bytes point{4};
  for (const char* name : {"x", "y"}) {
    const SecretBytes coordinate = exact_bytes(name, key.public_member(name), curve.size);
    point.insert(point.end(), coordinate.view().begin(), coordinate.view().end());
  }
  ParamBuilder builder(OSSL_PARAM_BLD_new());
  openssl_must(builder &&
                   OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                                   curve.group, 0) == 1 &&
                   OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY,
                                                    point.data(), point.size()) == 1,
               "EC keys");
  Bignum d;
  if (key.is_private) {
    d = to_bignum(exact_bytes("d", private_member(key, "d"), curve.size).view());
    openssl_must(OSSL_PARAM_BLD_push_BN_pad(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, d.get(),
                                            curve.size) == 1,
                 "EC keys");
  }
  key.pkey = from_params("EC", builder.get(), key.is_private);
  if (!key.pkey || !sound(key.pkey.get(), key.is_private)) {
    refuse_jwk("it is not a point of the curve " + key.curve +
               ", or its private and public parts don't match");
  }
}

void build_ed25519(Jwk::Impl& key) {
  OpensslErrors errors;
  key.bits = 256;
  const SecretBytes x = exact_bytes("x", key.public_member("x"), kEd25519Size);
  if (of_small_order(x.view())) refuse_jwk("the Ed25519 point is of small order or not reduced");
  if (!key.is_private) {
    key.pkey.reset(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, x.data(), x.size()));
    openssl_must(key.pkey != nullptr, "Ed25519");
    return;
  }
  const SecretBytes d = exact_bytes("d", private_member(key, "d"), kEd25519Size);
  key.pkey.reset(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, d.data(), d.size()));
  std::array<std::uint8_t, kEd25519Size> derived{};
  std::size_t size = derived.size();
  openssl_must(key.pkey && EVP_PKEY_get_raw_public_key(key.pkey.get(), derived.data(), &size) == 1,
               "Ed25519");
  if (!equal_constant_time(derived, x.view())) {
    refuse_jwk("its private and public parts don't match");
  }
}

void build_rsa(Jwk::Impl& key) {
  OpensslErrors errors;
  ParamBuilder builder(OSSL_PARAM_BLD_new());
  std::vector<Bignum> numbers;  // the builder keeps pointers to them
  const auto push = [&](const char* param, const char* name, std::string_view text) {
    numbers.push_back(rsa_number(name, text));
    openssl_must(builder && OSSL_PARAM_BLD_push_BN(builder.get(), param, numbers.back().get()) == 1,
                 "RSA keys");
  };
  push(OSSL_PKEY_PARAM_RSA_N, "n", key.public_member("n"));
  push(OSSL_PKEY_PARAM_RSA_E, "e", key.public_member("e"));
  check_rsa_public(numbers[0].get(), numbers[1].get());
  key.bits = static_cast<std::size_t>(BN_num_bits(numbers[0].get()));
  if (key.is_private) {
    for (const auto& [param, name] : {std::pair{OSSL_PKEY_PARAM_RSA_D, "d"},
                                      {OSSL_PKEY_PARAM_RSA_FACTOR1, "p"},
                                      {OSSL_PKEY_PARAM_RSA_FACTOR2, "q"},
                                      {OSSL_PKEY_PARAM_RSA_EXPONENT1, "dp"},
                                      {OSSL_PKEY_PARAM_RSA_EXPONENT2, "dq"},
                                      {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, "qi"}}) {
      push(param, name, private_member(key, name));
    }
  }
  key.pkey = from_params("RSA", builder.get(), key.is_private);
  if (!key.pkey || !sound(key.pkey.get(), key.is_private)) {
    refuse_jwk("the RSA numbers don't belong together");
  }
}

}  // namespace ptsecure
