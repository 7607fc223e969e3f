#include "libptsecure/crypto/jws.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/jwk.hpp"
#include "tests/crypto/expect_status.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

constexpr std::string_view kTyp = "ptsecure-manifest+jws";
constexpr std::string_view kPayload = R"({"name":"digits","version":7})";

std::string b64(std::string_view text) {
  return base64url_encode(as_bytes(text));
}

// Both algorithms.
class Jws : public ::testing::TestWithParam<const char*> {
 protected:
  Jws() : key_(alg() == "EdDSA" ? Jwk::generate_ed25519() : Jwk::generate_p256()) {}

  std::string alg() const { return GetParam(); }
  std::string sign() const { return jws_sign(as_bytes(kPayload), key_, kTyp); }

  // A token that is properly signed, with any header and any encoding of it.
  std::string sign_raw(const std::string& encoded_header) const {
    const std::string input = encoded_header + '.' + b64(kPayload);
    return input + '.' + base64url_encode(jws_signature(alg(), key_, as_bytes(input)));
  }
  std::string sign_header(const std::string& header) const { return sign_raw(b64(header)); }

  json header() const { return {{"alg", alg()}, {"kid", key_.kid()}, {"typ", kTyp}}; }

  void expect_accepted(const std::string& compact) const {
    EXPECT_EQ(as_text(jws_verify(compact, key_, kTyp)), kPayload);
  }

  Jwk key_;
};

INSTANTIATE_TEST_SUITE_P(Algorithms, Jws, ::testing::Values("EdDSA", "ES256"),
                         [](const auto& each) { return std::string(each.param); });

TEST_P(Jws, SignsAndVerifies) {
  const std::string compact = sign();
  const std::string written =
      R"({"alg":")" + alg() + R"(","kid":")" + key_.kid() + R"(","typ":"ptsecure-manifest+jws"})";
  EXPECT_EQ(compact.substr(0, compact.find('.')), b64(written));
  expect_accepted(compact);
  EXPECT_EQ(as_text(jws_verify(compact, key_.public_part(), kTyp)), kPayload);
  EXPECT_EQ(as_text(jws_payload_unverified(compact)), kPayload);
  const JwsHeader parsed = jws_header(compact);
  EXPECT_EQ(parsed.alg, alg());
  EXPECT_EQ(parsed.kid, key_.kid());
  EXPECT_EQ(parsed.typ, kTyp);
  for (const std::string_view payload : {"", "\0x", "x"}) {
    const std::string each = jws_sign(as_bytes(payload), key_, kTyp);
    EXPECT_EQ(as_text(jws_verify(each, key_, kTyp)), payload);
  }
  expect_accepted(sign_header(header().dump()));
}

// The steps of jws_sign, as for a key that lies elsewhere: only the bare signature needs it.
TEST_P(Jws, StepByStep) {
  const Jwk open = key_.public_part();
  EXPECT_EQ(jws_alg(open), alg());
  const std::string input = jws_signing_input(as_bytes(kPayload), open, kTyp);
  EXPECT_EQ(input, jws_signing_input(as_bytes(kPayload), key_, kTyp));
  const Bytes signature = jws_signature(alg(), key_, as_bytes(input));
  EXPECT_EQ(signature.size(), 64U);
  EXPECT_TRUE(jws_signature_holds(alg(), open, as_bytes(input), signature));
  EXPECT_FALSE(jws_signature_holds(alg(), open, as_bytes(input + 'x'), signature));
  expect_accepted(jws_compact(input, signature));

  EXPECT_STATUS(invalid_argument, jws_signature(alg(), open, as_bytes(input)));
  EXPECT_STATUS(invalid_argument,
                jws_signature(alg() == "EdDSA" ? "ES256" : "EdDSA", key_, as_bytes(input)));
  for (const json& members :
       {json{{"use", "enc"}}, json{{"key_ops", {"verify"}}}, json{{"alg", "ES512"}}}) {
    EXPECT_STATUS(invalid_argument,
                  jws_signature(alg(), key_.with_members(members), as_bytes(input)));
  }
  EXPECT_STATUS(invalid_argument,
                jws_signing_input(as_bytes(kPayload), open.with_members({{"kid", nullptr}}), kTyp));
  EXPECT_EQ(jws_alg(Jwk::generate_oct(32)), "");
  EXPECT_STATUS(invalid_argument,
                jws_signing_input(as_bytes(kPayload), Jwk::generate_oct(32), kTyp));
}

// Told before anybody is asked to sign.
TEST_P(Jws, ARecordHasAtMostOneMebibyte) {
  const std::string empty = jws_sign({}, key_, kTyp);
  const Bytes most((kJwsMaxSize - empty.size()) / 4 * 3, 'x');
  const std::string longest = jws_sign(most, key_, kTyp);
  EXPECT_GT(longest.size() + 4, kJwsMaxSize);
  EXPECT_EQ(jws_verify(longest, key_, kTyp), most);
  const Bytes more(most.size() + 3, 'x');
  EXPECT_STATUS(limit_exceeded, jws_signing_input(more, key_.public_part(), kTyp));
  EXPECT_STATUS(limit_exceeded, jws_sign(more, key_, kTyp));
}

TEST_P(Jws, EveryChangedCharacterIsFound) {
  const std::string compact = sign();
  for (std::size_t i = 0; i < compact.size(); ++i) {
    for (const char c : {'A', 'B', '_', '.', '=', ' '}) {
      if (compact[i] == c) continue;
      std::string changed = compact;
      changed[i] = c;
      EXPECT_THROW(jws_verify(changed, key_, kTyp), Error) << i << c;
    }
    EXPECT_THROW(jws_verify(compact.substr(0, i), key_, kTyp), Error) << i;
  }
  EXPECT_THROW(jws_verify(compact + "A", key_, kTyp), Error);
  EXPECT_THROW(jws_verify(compact + "=", key_, kTyp), Error);
  EXPECT_THROW(jws_verify(compact + ".", key_, kTyp), Error);
}

TEST_P(Jws, OnlyTheKeyAndTheKindAskedFor) {
  const std::string compact = sign();
  const Jwk other = alg() == "EdDSA" ? Jwk::generate_ed25519() : Jwk::generate_p256();
  EXPECT_STATUS(untrusted, jws_verify(compact, other, kTyp));
  // Another key under the same kid, and the right one under another.
  EXPECT_STATUS(untrusted, jws_verify(compact, other.with_members({{"kid", key_.kid()}}), kTyp));
  EXPECT_STATUS(untrusted, jws_verify(compact, key_.with_members({{"kid", "x"}}), kTyp));
  EXPECT_NO_THROW(jws_verify(compact, key_.with_members({{"kid", nullptr}}), kTyp));
  for (const std::string_view typ :
       {"", "ptsecure-alias+jws", "ptsecure-manifest+jw", "PTSECURE-MANIFEST+JWS",
        "application/ptsecure-manifest+jws"}) {
    EXPECT_STATUS(untrusted, jws_verify(compact, key_, typ));
  }
  json untyped = header();
  untyped.erase("typ");
  EXPECT_STATUS(untrusted, jws_verify(sign_header(untyped.dump()), key_, kTyp));
}

TEST_P(Jws, TheAlgorithmIsTheKeys) {
  const std::string compact = sign();
  const Jwk ed = Jwk::generate_ed25519();
  const Jwk p256 = Jwk::generate_p256();
  const Jwk& wrong_type = alg() == "EdDSA" ? p256 : ed;
  EXPECT_STATUS(untrusted,
                jws_verify(compact, wrong_type.with_members({{"kid", key_.kid()}}), kTyp));
  EXPECT_NO_THROW(jws_verify(compact, key_.with_members({{"alg", alg()}}), kTyp));
  for (const char* other : {"ES512", "HS256", "RSA-OAEP", "none", "nonsense"}) {
    EXPECT_STATUS(untrusted, jws_verify(compact, key_.with_members({{"alg", other}}), kTyp));
  }
  for (const char* name : {"none", "None", "NONE", "nOnE", "HS256", "HS512", "RS256", "PS256",
                           "ES384", "ES256K", "Ed448", "A256KW", "dir", "eddsa", "es256"}) {
    json changed = header();
    changed["alg"] = name;
    EXPECT_STATUS(untrusted, jws_verify(sign_header(changed.dump()), key_, kTyp));
    EXPECT_STATUS(untrusted,
                  jws_verify(b64(changed.dump()) + '.' + b64(kPayload) + '.', key_, kTyp));
  }
}

TEST_P(Jws, MacsWithThePublicKeyAsSecretAreRefused) {
  json changed = header();
  changed["alg"] = "HS256";
  const std::string input = b64(changed.dump()) + '.' + b64(kPayload);
  const std::string token = input + '.' + base64url_encode(Bytes(32, 1));
  EXPECT_STATUS(untrusted, jws_verify(token, key_.public_part(), kTyp));
  EXPECT_STATUS(untrusted, jws_verify_any(token, key_.public_part()));
}

TEST_P(Jws, KeysForOtherUsesAreRefused) {
  const std::string compact = sign();
  EXPECT_STATUS(untrusted, jws_verify(compact, key_.with_members({{"use", "enc"}}), kTyp));
  EXPECT_STATUS(untrusted,
                jws_verify(compact, key_.with_members({{"key_ops", {"encrypt"}}}), kTyp));
  EXPECT_NO_THROW(jws_verify(compact, key_.with_members({{"key_ops", {"verify"}}}), kTyp));
  EXPECT_STATUS(invalid_argument, jws_sign({}, key_.with_members({{"key_ops", {"verify"}}}), kTyp));
  EXPECT_STATUS(invalid_argument, jws_sign({}, key_.with_members({{"use", "enc"}}), kTyp));
  EXPECT_STATUS(invalid_argument, jws_sign({}, key_.with_members({{"kid", nullptr}}), kTyp));
  EXPECT_STATUS(invalid_argument, jws_sign({}, key_.public_part(), kTyp));
  EXPECT_STATUS(invalid_argument, jws_sign({}, Jwk::generate_oct(32), kTyp));
}

TEST_P(Jws, HeadersThatChangeTheRulesAreRefused) {
  const json values{{"crit", {"exp"}},
                    {"b64", false},
                    {"jwk", json::parse(Jwk::generate_ed25519().public_json())},
                    {"jku", "https://attacker.example/keys"},
                    {"x5u", "https://attacker.example/chain"},
                    {"x5c", {"MIIB"}}};
  for (const auto& [name, value] : values.items()) {
    json changed = header();
    changed[name] = value;
    EXPECT_STATUS(corrupt, jws_verify(sign_header(changed.dump()), key_, kTyp));
    EXPECT_STATUS(corrupt, jws_verify_any(sign_header(changed.dump()), key_));
  }
  json harmless = header();
  harmless["something"] = {1, 2};
  expect_accepted(sign_header(harmless.dump()));
}

TEST_P(Jws, DuplicateAndCaseVariantNamesAreRefused) {
  const std::string kid = key_.kid();
  const std::string base =
      R"({"alg":")" + alg() + R"(","kid":")" + kid + R"(","typ":")" + std::string(kTyp) + '"';
  expect_accepted(sign_header(base + "}"));
  for (const std::string& more : std::vector<std::string>{
           R"(,"alg":"none")", R"(,"kid":")" + kid + "\"", R"(,"typ":"x")", R"(,"Alg":"none")",
           R"(,"KID":"x")", R"(,"tYp":"x")", R"(,"CRIT":[])", R"(,"Jwk":{})",
           R"(,"al\u0067":"none")", R"(,"x":{"a":1,"a":2})"}) {
    EXPECT_STATUS(corrupt, jws_verify(sign_header(base + more + "}"), key_, kTyp));
  }
}

TEST_P(Jws, MalformedHeadersAreRefused) {
  const std::string good = header().dump();
  for (const std::string& bad :
       {std::string("[]"), std::string("\"alg\""), std::string("{}"), std::string("null"),
        good + " x", good + std::string(1, '\0'), "\xef\xbb\xbf" + good,
        std::string(R"({"alg":1})"), std::string(R"({"alg":""})"), std::string(R"({"alg":null})"),
        std::string(R"({"alg":"EdDSA","kid":7})"),
        std::string("{\"alg\":\"EdDSA\",\"kid\":\"\xff\"}"),
        std::string(R"({"alg":"EdDSA","kid":"a\u0000b"})"), std::string(100000, '[')}) {
    EXPECT_STATUS(corrupt, jws_verify(sign_header(bad), key_, kTyp));
    EXPECT_STATUS(corrupt, jws_header(sign_header(bad)));
  }
  json nested = header();
  for (int i = 0; i < 20; ++i) nested["x"] = json{{"x", nested["x"]}};
  EXPECT_STATUS(corrupt, jws_verify(sign_header(nested.dump()), key_, kTyp));
  json longer = header();
  longer["x"] = std::string(20000, 'x');
  EXPECT_STATUS(corrupt, jws_verify(sign_header(longer.dump()), key_, kTyp));
}

TEST_P(Jws, NonCanonicalBase64urlIsRefused) {
  const std::string encoded = b64(header().dump() + " ");  // two characters in the last group
  const std::string padded = encoded + std::string((4 - encoded.size() % 4) % 4, '=');
  if (padded != encoded) {
    EXPECT_STATUS(corrupt, jws_verify(sign_raw(padded), key_, kTyp));
  }
  EXPECT_STATUS(corrupt,
                jws_verify(sign_raw(encoded.substr(0, 8) + '\n' + encoded.substr(8)), key_, kTyp));
  // The other spellings of a signature's last character.
  const std::string compact = sign();
  for (const char c : {'B', 'C', 'D', 'h', 'x'}) {
    std::string changed = compact;
    changed.back() = c;
    if (changed != compact) {
      EXPECT_THROW(jws_verify(changed, key_, kTyp), Error);
    }
  }
}

TEST_P(Jws, WrongShapesAreRefused) {
  const std::string compact = sign();
  const std::string head = compact.substr(0, compact.find('.'));
  const std::string signature = compact.substr(compact.rfind('.') + 1);
  for (const std::string& wrong :
       {std::string(), std::string("."), std::string(".."), std::string("..."), head,
        head + '.' + b64(kPayload), compact + '.' + signature,
        '.' + b64(kPayload) + '.' + signature, std::string(1000, '.'), std::string(900000, '.')}) {
    EXPECT_STATUS(corrupt, jws_verify(wrong, key_, kTyp));
  }
  EXPECT_STATUS(untrusted, jws_verify(head + '.' + b64(kPayload) + '.', key_, kTyp));
  EXPECT_STATUS(untrusted, jws_verify(head + ".." + signature, key_, kTyp));
  for (const std::size_t size : {0u, 1u, 32u, 63u, 65u, 128u}) {
    EXPECT_STATUS(untrusted,
                  jws_verify(head + '.' + b64(kPayload) + '.' + base64url_encode(Bytes(size, 1)),
                             key_, kTyp));
    EXPECT_STATUS(untrusted,
                  jws_verify(head + '.' + b64(kPayload) + '.' + base64url_encode(Bytes(size, 0)),
                             key_, kTyp));
  }
  // The JSON serialisations aren't read at all.
  const json flattened{{"protected", head}, {"payload", b64(kPayload)}, {"signature", signature}};
  EXPECT_STATUS(corrupt, jws_verify(flattened.dump(), key_, kTyp));
  const json none{{"payload", b64(kPayload)}, {"signatures", json::array()}};
  EXPECT_STATUS(corrupt, jws_verify(none.dump(), key_, kTyp));
}

TEST_P(Jws, AnEncryptedObjectIsNoSignature) {
  const Jwk wrap = Jwk::generate_p256();
  const std::string jwe = jwe_encrypt(as_bytes(kPayload), wrap, "");
  EXPECT_STATUS(corrupt, jws_verify(jwe, key_, kTyp));
  json changed = header();
  changed["enc"] = "A256GCM";
  EXPECT_STATUS(corrupt, jws_verify(sign_header(changed.dump()), key_, kTyp));
  EXPECT_STATUS(corrupt, jwe_decrypt(sign(), wrap, JwePolicy::foreign));
  EXPECT_STATUS(corrupt, jwe_decrypt(sign(), wrap, JwePolicy::key_document));
}

TEST_P(Jws, SizesAreBounded) {
  EXPECT_STATUS(limit_exceeded, jws_sign(Bytes(kJwsMaxSize, 1), key_, kTyp));
  const Bytes large(700000, 1);
  const std::string compact = jws_sign(large, key_, kTyp);
  EXPECT_EQ(jws_verify(compact, key_, kTyp), large);
  EXPECT_STATUS(limit_exceeded, jws_verify(std::string(kJwsMaxSize + 1, 'A'), key_, kTyp));
}

TEST(JwsEd25519, BothNamesOfTheAlgorithmAreRead) {
  const Jwk key = Jwk::generate_ed25519();
  const std::string input = b64(R"({"alg":"Ed25519","typ":"t"})") + '.' + b64("x");
  const std::string token =
      input + '.' + base64url_encode(jws_signature("EdDSA", key, as_bytes(input)));
  EXPECT_EQ(as_text(jws_verify(token, key, "t")), "x");
  EXPECT_NO_THROW(jws_verify(token, key.with_members({{"alg", "EdDSA"}}), "t"));
  EXPECT_NO_THROW(jws_verify(token, key.with_members({{"alg", "Ed25519"}}), "t"));
  const std::string named = jws_sign(as_bytes("x"), key.with_members({{"alg", "Ed25519"}}), "t");
  EXPECT_EQ(jws_header(named).alg, "EdDSA");
}

TEST(JwsEs256, DerEncodedSignaturesAreRefused) {
  const Jwk key = Jwk::generate_p256();
  const std::string compact = jws_sign(as_bytes("x"), key, "t");
  const Bytes raw = base64url_decode(compact.substr(compact.rfind('.') + 1));
  ASSERT_EQ(raw.size(), 64u);
  Bytes der{0x30, 68, 0x02, 33, 0};
  der.insert(der.end(), raw.begin(), raw.begin() + 32);
  der.insert(der.end(), {0x02, 33, 0});
  der.insert(der.end(), raw.begin() + 32, raw.end());
  der[1] = static_cast<std::uint8_t>(der.size() - 2);
  EXPECT_STATUS(
      untrusted,
      jws_verify(compact.substr(0, compact.rfind('.') + 1) + base64url_encode(der), key, "t"));
}

}  // namespace
}  // namespace ptsecure
