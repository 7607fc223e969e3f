// Wycheproof's vectors, fetched by tests/vectors.sh; PTSECURE_WYCHEPROOF names their folder. What
// is left out on purpose is listed here by name, and a list that doesn't fit the vectors is a
// failure.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/jwe_internal.hpp"
#include "libptsecure/crypto/jwk.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "tests/crypto/expect_status.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;
using test::from_hex;

json load(const std::string& name) {
  const char* folder = std::getenv("PTSECURE_WYCHEPROOF");
  if (folder == nullptr) {
    throw std::runtime_error(
        "PTSECURE_WYCHEPROOF is not set: export PTSECURE_WYCHEPROOF=$(tests/vectors.sh)");
  }
  std::ifstream in(std::string(folder) + "/" + name + "_test.json");
  if (!in) throw std::runtime_error(std::string(folder) + " holds no " + name + "_test.json");
  return json::parse(in);
}

Bytes hex(const json& object, const char* name) {
  return from_hex(object.at(name).get<std::string>());
}

// Calls run(group, test) for every test; run returns whether the library accepted it.
template <typename Run>
void for_each(const std::string& name, Run run) {
  std::size_t count = 0;
  const json file = load(name);
  for (const json& group : file.at("testGroups")) {
    for (const json& test : group.at("tests")) {
      SCOPED_TRACE(name + " " + std::to_string(test.at("tcId").get<int>()) + " " +
                   test.at("comment").get<std::string>());
      run(group, test);
      ++count;
    }
  }
  EXPECT_EQ(count, file.at("numberOfTests").get<std::size_t>());
  EXPECT_GT(count, 0u);
}

// Checking an RSA key takes a while, and a group's tests share theirs.
Jwk parse_cached(const json& jwk) {
  static std::map<std::string, Jwk> keys;
  const std::string text = jwk.dump();
  const auto found = keys.find(text);
  return found != keys.end() ? found->second : keys.emplace(text, Jwk::parse(text)).first->second;
}

bool is_valid(const json& test) {
  return test.at("result") == "valid";
}

bool has_flag(const json& test, const char* flag) {
  for (const json& each : test.at("flags")) {
    if (each == flag) return true;
  }
  return false;
}

TEST(Wycheproof, JsonWebEncryption) {
  // Algorithms that are left out: they are refused also where a vector is valid.
  const std::set<std::string> left_out{"RSA1_5"};
  std::map<std::string, int> refused_valid;
  int ran = 0;
  for_each("json_web_encryption", [&](const json& group, const json& test) {
    const Jwk key = parse_cached(group.at("private"));
    const std::string text = test.at("jwe");
    // Where only the compact form is due, the JSON one is to be refused.
    const auto policy =
        has_flag(test, "JsonSerialization") ? JwePolicy::key_document : JwePolicy::foreign;
    Bytes plain;
    const Status status = test::status_of([&] {
      const SecretBytes opened = jwe_decrypt(text, key, policy);
      plain.assign(opened.view().begin(), opened.view().end());
    });
    if (!is_valid(test)) {
      EXPECT_NE(status, Status::ok);
      ++ran;
      return;
    }
    const std::string alg = jwe_header(text).alg;
    if (left_out.count(alg) != 0) {
      EXPECT_EQ(status, Status::unsupported);
      ++refused_valid[alg];
      return;
    }
    EXPECT_EQ(status, Status::ok);
    EXPECT_EQ(ptsecure::hex(plain), test.at("pt").get<std::string>());
    ++ran;
  });
  for (const std::string& alg : left_out) EXPECT_GT(refused_valid[alg], 0) << alg;
  EXPECT_EQ(ran, 139 - refused_valid["RSA1_5"]);
  for (const auto& [alg, count] : refused_valid) {
    std::printf("left out: %d valid vectors with alg %s\n", count, alg.c_str());
  }
}

TEST(Wycheproof, JsonWebSignature) {
  // Vectors that Wycheproof calls valid and that are refused here on purpose.
  const std::map<int, const char*> stricter{
      {346, "the key says alg PS256, the signature PS384"},
      {347, "the key says alg ES521, which is no algorithm"},
      {350, "the key says alg PS256, the signature PS384"},
      {351, "the key says alg ES521, which is no algorithm"},
      {357, "the key is all zero"},
      {358, "the key is all zero"},
      {359, "the key is all zero"},
      {372, "a character outside the base64url alphabet in the header; the key is all zero"},
      {373, "a character outside the base64url alphabet in the payload; the key is all zero"},
      {376, "the key is all zero"},
      {377, "the key is all zero"},
  };
  std::size_t refused_valid = 0;
  int ran = 0;
  for_each("json_web_signature", [&](const json& group, const json& test) {
    const json& jwk = group.contains("public") ? group.at("public") : group.at("private");
    const std::string text = test.at("jws");
    const Status status = test::status_of([&] { jws_verify_any(text, parse_cached(jwk)); });
    if (stricter.count(test.at("tcId").get<int>()) != 0) {
      EXPECT_TRUE(is_valid(test));
      EXPECT_NE(status, Status::ok);
      ++refused_valid;
      return;
    }
    EXPECT_EQ(status == Status::ok, is_valid(test)) << status_name(status);
    ++ran;
  });
  EXPECT_EQ(refused_valid, stricter.size());
  EXPECT_EQ(ran, 401 - static_cast<int>(stricter.size()));
}

TEST(Wycheproof, JsonWebKey) {
  int ran = 0;
  for_each("json_web_key", [&](const json& group, const json& test) {
    const json& set = group.contains("public") ? group.at("public") : group.at("private");
    const std::string text = test.at("jws");
    const Status status = test::status_of([&] {
      const std::string kid = jws_header(text).kid;
      std::vector<Jwk> keys;
      for (const json& each : set.at("keys")) {
        const Jwk key = Jwk::parse(each.dump());
        if (key.kid() == kid) keys.push_back(key);
      }
      // A kid that two keys share decides nothing.
      if (keys.size() != 1) throw Error(Status::no_key, "not exactly one key has this kid");
      // MACs beside signatures: our own records, for which no MAC counts.
      if (has_flag(test, "MixedKeySet")) {
        jws_verify(text, keys[0], "");
      } else {
        jws_verify_any(text, keys[0]);
      }
    });
    EXPECT_EQ(status == Status::ok, is_valid(test)) << status_name(status);
    ++ran;
  });
  EXPECT_EQ(ran, 26);
}

TEST(Wycheproof, AesGcm) {
  int other_iv_sizes = 0;
  for_each("aes_gcm", [&](const json& group, const json& test) {
    const auto plain = jwe::decrypt_gcm(hex(test, "key"), hex(test, "iv"), hex(test, "aad"),
                                        hex(test, "ct"), hex(test, "tag"));
    // JWE and the payload format know 96-bit nonces only.
    if (group.at("ivSize") != 96) {
      EXPECT_FALSE(plain.has_value());
      ++other_iv_sizes;
      return;
    }
    ASSERT_EQ(plain.has_value(), is_valid(test));
    if (plain) {
      EXPECT_EQ(ptsecure::hex(plain->view()), test.at("msg").get<std::string>());
    }
  });
  EXPECT_EQ(other_iv_sizes, 119);
}

TEST(Wycheproof, AesCbcHmac) {
  for (const auto& [file, name] : {std::pair{"a128cbc_hs256", "A128CBC-HS256"},
                                   {"a192cbc_hs384", "A192CBC-HS384"},
                                   {"a256cbc_hs512", "A256CBC-HS512"}}) {
    const jwe::ContentAlg& alg = *jwe::find_content_alg(name);
    for_each(file, [&](const json&, const json& test) {
      std::optional<SecretBytes> plain;
      const Status status = test::status_of([&] {
        plain = jwe::decrypt_content(alg, hex(test, "key"), hex(test, "iv"), hex(test, "aad"),
                                     hex(test, "ct"), hex(test, "tag"));
      });
      ASSERT_EQ(status == Status::ok && plain.has_value(), is_valid(test));
      if (plain) {
        EXPECT_EQ(ptsecure::hex(plain->view()), test.at("msg").get<std::string>());
      }
    });
  }
}

TEST(Wycheproof, AesKeyWrap) {
  const std::set<int> all_zero{10, 52, 107};  // valid, but no CEK may be all zero
  int ran = 0;
  for_each("aes_wrap", [&](const json& group, const json& test) {
    const Bytes ct = hex(test, "ct");
    const std::string alg_name = "A" + std::to_string(group.at("keySize").get<int>()) + "KW";
    const jwe::KeyAlg& alg = *jwe::find_key_alg(alg_name);
    // A content algorithm of the size that this vector wraps.
    const jwe::ContentAlg content{"test", ct.size() < 8 ? 0 : ct.size() - 8, 12, 16, nullptr};
    const Jwk key = Jwk::from_secret(hex(test, "key"));
    std::optional<SecretBytes> cek;
    const Status status = test::status_of(
        [&] { cek = jwe::unwrap_cek(alg, content, {json::object(), ct}, {&key, {}, 0}); });
    const bool accepted = status == Status::ok && cek.has_value();
    ++ran;
    if (all_zero.count(test.at("tcId").get<int>()) != 0) {
      EXPECT_TRUE(is_valid(test));
      EXPECT_FALSE(accepted);
      return;
    }
    // "acceptable" are wrapped keys of 8 bytes, which RFC 3394 doesn't allow: refused.
    EXPECT_EQ(accepted, is_valid(test));
    if (accepted) {
      EXPECT_EQ(ptsecure::hex(cek->view()), test.at("msg").get<std::string>());
    }
  });
  EXPECT_EQ(ran, 165);
}

TEST(Wycheproof, Hkdf) {
  for_each("hkdf_sha256", [&](const json&, const json& test) {
    std::string okm;
    const Status status = test::status_of([&] {
      okm = ptsecure::hex(hkdf_sha256(hex(test, "ikm"), hex(test, "salt"), hex(test, "info"),
                                      test.at("size").get<std::size_t>())
                              .view());
    });
    ASSERT_EQ(status == Status::ok, is_valid(test)) << status_name(status);
    if (status == Status::ok) {
      EXPECT_EQ(okm, test.at("okm").get<std::string>());
    }
  });
}

Bytes coordinate(const json& public_key, const char* name, std::size_t size) {
  Bytes bytes = hex(public_key, name);
  while (bytes.size() > size) bytes.erase(bytes.begin());
  while (bytes.size() < size) bytes.insert(bytes.begin(), 0);
  return bytes;
}

TEST(Wycheproof, Ed25519) {
  for_each("ed25519", [&](const json& group, const json& test) {
    const Bytes point = hex(group.at("publicKey"), "pk");
    bool accepted = false;
    test::status_of([&] {
      const Jwk key = Jwk::parse(
          json{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", base64url_encode(point)}}.dump());
      accepted = jws_signature_holds("EdDSA", key, hex(test, "msg"), hex(test, "sig"));
    });
    EXPECT_EQ(accepted, is_valid(test));
  });
}

TEST(Wycheproof, Ecdsa) {
  struct Case {
    const char* file;
    const char* alg;
    const char* curve;
    std::size_t size;
  };
  for (const Case& each : {Case{"ecdsa_secp256r1_sha256_p1363", "ES256", "P-256", 32},
                           Case{"ecdsa_secp384r1_sha384_p1363", "ES384", "P-384", 48},
                           Case{"ecdsa_secp521r1_sha512_p1363", "ES512", "P-521", 66}}) {
    for_each(each.file, [&](const json& group, const json& test) {
      const json& point = group.at("publicKey");
      const Jwk key = Jwk::parse(json{{"kty", "EC"},
                                      {"crv", each.curve},
                                      {"x", base64url_encode(coordinate(point, "wx", each.size))},
                                      {"y", base64url_encode(coordinate(point, "wy", each.size))}}
                                     .dump());
      EXPECT_EQ(jws_signature_holds(each.alg, key, hex(test, "msg"), hex(test, "sig")),
                is_valid(test));
    });
  }
}

TEST(Wycheproof, Ecdh) {
  for (const char* file :
       {"ecdh_secp256r1_webcrypto", "ecdh_secp384r1_webcrypto", "ecdh_secp521r1_webcrypto"}) {
    for_each(file, [&](const json&, const json& test) {
      std::string shared;
      const Status status = test::status_of([&] {
        const Jwk mine = Jwk::parse(test.at("private").dump());
        const Jwk theirs = Jwk::parse(test.at("public").dump());
        if (mine.curve() != theirs.curve()) throw Error(Status::corrupt, "another curve");
        shared = ptsecure::hex(jwe::ecdh(mine, theirs).view());
      });
      ASSERT_EQ(status == Status::ok, is_valid(test)) << status_name(status);
      if (status == Status::ok) {
        EXPECT_EQ(shared, test.at("shared").get<std::string>());
      }
    });
  }
}

}  // namespace
}  // namespace ptsecure
