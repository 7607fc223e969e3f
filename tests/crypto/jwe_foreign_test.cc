#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "tests/crypto/expect_status.hpp"
#include "tests/crypto/jwe_fixture.hpp"

// What only foreign objects use: passphrases and the JSON serialisations.
namespace ptsecure {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using namespace jwe_test;  // NOLINT(google-build-using-namespace)

using JweForeign = Jwe;

TEST_F(JweForeign, Passphrases) {
  const std::string jwe =
      jwe_encrypt_password(as_bytes(kPlain), "correct horse", 1000, "jwk-set+json");
  EXPECT_EQ(as_text(jwe_decrypt_password(jwe, "correct horse").view()), kPlain);
  const JweHeader header = jwe_header(jwe);
  EXPECT_EQ(header.alg, "PBES2-HS512+A256KW");
  EXPECT_EQ(header.cty, "jwk-set+json");
  EXPECT_EQ(header_of(parts_of(jwe_encrypt_password({}, "x"))).at("p2c"), 600000);
  EXPECT_STATUS(no_key, jwe_decrypt_password(jwe, "correct horsf"));
  EXPECT_STATUS(no_key, jwe_decrypt_password(jwe, ""));
  EXPECT_STATUS(no_key, jwe_decrypt_password(jwe, std::string(2000, 'x')));
  Parts damaged = parts_of(jwe);
  damaged[4] = base64url_encode(Bytes(16, 1));
  EXPECT_STATUS(no_key, jwe_decrypt_password(join(damaged), "correct horse"));
  EXPECT_STATUS(unsupported, jwe_decrypt_password(encrypt_kw(oct_, json::object()), "x"));
  EXPECT_STATUS(invalid_argument, jwe_encrypt_password(as_bytes(kPlain), "", 1000));
  EXPECT_STATUS(invalid_argument, jwe_encrypt_password(as_bytes(kPlain), "x", 999));
  EXPECT_STATUS(invalid_argument, jwe_encrypt_password(as_bytes(kPlain), "x", 0xffffffff));
}

TEST_F(JweForeign, IterationCountsAreBounded) {
  const std::string jwe = jwe_encrypt_password(as_bytes(kPlain), "x", 2000);
  EXPECT_STATUS(limit_exceeded, jwe_decrypt_password(jwe, "x", 1999));
  EXPECT_NO_THROW(jwe_decrypt_password(jwe, "x", 2000));
  const auto with = [&](const char* name, const json& value) {
    Parts parts = parts_of(jwe);
    json header = header_of(parts);
    header[name] = value;
    parts[0] = b64(header.dump());
    return join(parts);
  };
  for (const json& p2c :
       {json(1000001), json(2147483647), json(4294967296), json(18446744073709551615u)}) {
    EXPECT_STATUS(limit_exceeded, jwe_decrypt_password(with("p2c", p2c), "x"));
  }
  for (const json& p2c : {json(0), json(-1), json(1.5), json("1000"), json(nullptr), json(1e18)}) {
    EXPECT_STATUS(corrupt, jwe_decrypt_password(with("p2c", p2c), "x", 0xffffffff));
  }
  for (const json& p2s :
       {json(""), json("AAAA"), json(1), json(base64url_encode(Bytes(2000, 1)))}) {
    EXPECT_STATUS(corrupt, jwe_decrypt_password(with("p2s", p2s), "x"));
  }
}

TEST_F(JweForeign, OfPassphraseRecipientsOneIsTried) {
  const Parts parts = parts_of(jwe_encrypt_password(as_bytes(kPlain), "x", 1000));
  const json text{
      {"protected", parts[0]},
      {"recipients",
       {{{"encrypted_key", base64url_encode(Bytes(40, 1))}}, {{"encrypted_key", parts[1]}}}},
      {"iv", parts[2]},
      {"ciphertext", parts[3]},
      {"tag", parts[4]}};
  EXPECT_STATUS(no_key, jwe_decrypt_password(text.dump(), "x"));
}

TEST_F(JweForeign, JsonSerialisations) {
  const Parts parts = parts_of(encrypt_kw(oct_, json::object()));
  const json flattened{{"protected", parts[0]},
                       {"encrypted_key", parts[1]},
                       {"iv", parts[2]},
                       {"ciphertext", parts[3]},
                       {"tag", parts[4]}};
  const auto open = [&](const json& object) {
    return std::string(as_text(jwe_decrypt(object.dump(), oct_, JwePolicy::foreign).view()));
  };
  EXPECT_EQ(open(flattened), kPlain);
  EXPECT_STATUS(corrupt, jwe_decrypt(flattened.dump(), oct_, JwePolicy::key_document));
  json ignored = flattened;
  ignored["more"] = {{"a", 1}};
  EXPECT_EQ(open(ignored), kPlain);

  json general = flattened;
  general.erase("encrypted_key");
  general["recipients"] = {{{"encrypted_key", parts[1]}}};
  EXPECT_EQ(open(general), kPlain);
  // A recipient of another kind, an unknown one and one of another kid before ours.
  general["recipients"] = json::array();
  for (int i = 0; i < 31; ++i) general["recipients"].push_back({{"encrypted_key", "AAAA"}});
  general["recipients"].push_back({{"encrypted_key", parts[1]}});
  EXPECT_EQ(open(general), kPlain);
  general["recipients"].push_back({{"encrypted_key", parts[1]}});
  EXPECT_STATUS(corrupt, open(general));
  general["recipients"] = json::array();
  EXPECT_STATUS(corrupt, open(general));
  general["recipients"] = json::object();
  EXPECT_STATUS(corrupt, open(general));
  general["recipients"] = {1};
  EXPECT_STATUS(corrupt, open(general));
  general["recipients"] = {{{"encrypted_key", "AAAA"}}, {{"encrypted_key", "BBBB"}}};
  EXPECT_STATUS(corrupt, open(general));

  json mixed = flattened;
  mixed["recipients"] = {{{"encrypted_key", parts[1]}}};
  EXPECT_STATUS(corrupt, open(mixed));
  for (const char* name : {"protected", "iv", "ciphertext", "tag", "encrypted_key"}) {
    json missing = flattened;
    missing.erase(name);
    EXPECT_STATUS(corrupt, open(missing));
    json wrong = flattened;
    wrong[name] = 1;
    EXPECT_STATUS(corrupt, open(wrong));
    json twice = flattened;
    std::string variant = name;
    variant[0] = static_cast<char>(variant[0] - 'a' + 'A');
    twice[variant] = parts[1];
    EXPECT_STATUS(corrupt, open(twice));
  }
  const std::string text = flattened.dump();
  EXPECT_STATUS(corrupt,
                jwe_decrypt("{\"tag\":\"AAAA\"," + text.substr(1), oct_, JwePolicy::foreign));
}

TEST_F(JweForeign, UnprotectedHeaders) {
  // alg may stand unprotected in what others wrote, but not enc or zip, and no name twice.
  const SecretBytes cek = SecretBytes::random(32);
  ordered_json none;
  const Bytes wrapped = jwe::wrap_cek(*jwe::find_key_alg("A256KW"), cek.view(), oct_, none);
  const auto object = [&](const std::string& header) {
    const Parts parts = parts_of(encrypt_under(header, cek.view(), wrapped, kPlain));
    return json{{"protected", parts[0]},
                {"encrypted_key", parts[1]},
                {"iv", parts[2]},
                {"ciphertext", parts[3]},
                {"tag", parts[4]}};
  };
  const auto opens = [&](const json& text) {
    return test::status_of([&] { jwe_decrypt(text.dump(), oct_, JwePolicy::foreign); });
  };
  for (const char* where : {"header", "unprotected"}) {
    json text = object(R"({"enc":"A256GCM"})");
    EXPECT_EQ(opens(text), Status::corrupt);
    text[where] = {{"alg", "A256KW"}};
    EXPECT_EQ(opens(text), Status::ok) << where;
    EXPECT_EQ(jwe_header(text.dump()).alg, "A256KW");
    text[where] = {{"alg", "A256KW"}, {"enc", "A256GCM"}};
    EXPECT_EQ(opens(text), Status::corrupt);
    text[where] = {{"alg", "A256KW"}, {"zip", "DEF"}};
    EXPECT_EQ(opens(text), Status::corrupt);
    text[where] = {{"alg", "A256KW"}, {"jku", "https://attacker.example"}};
    EXPECT_EQ(opens(text), Status::corrupt);
    text[where] = {{"alg", "A256KW"}, {"crit", {"x"}}};
    EXPECT_EQ(opens(text), Status::corrupt);
    text[where] = {{"alg", "none"}};
    EXPECT_EQ(opens(text), Status::unsupported);
    text[where] = 5;
    EXPECT_EQ(opens(text), Status::corrupt);
    json both = object(R"({"alg":"A256KW","enc":"A256GCM"})");
    both[where] = {{"alg", "A256KW"}};
    EXPECT_EQ(opens(both), Status::corrupt);
    json outside = object("{}");
    outside[where] = {{"alg", "A256KW"}, {"enc", "A256GCM"}};
    EXPECT_EQ(opens(outside), Status::corrupt);
  }
}

}  // namespace
}  // namespace ptsecure
