#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/jwk.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "tests/crypto/expect_status.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

json load(const std::string& name) {
  const std::string path = std::string(PTSECURE_SOURCE_DIR) + "/tests/crypto/vectors/" + name;
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path + " is missing");
  return json::parse(in);
}

std::string text(const json& object, const char* name) {
  return object.at(name);
}

TEST(RfcVectors, Jwe) {
  std::size_t opened = 0;
  const json file = load("rfc_jose.json");
  for (const json& vector : file.at("jwe")) {
    SCOPED_TRACE(text(vector, "name"));
    const std::string jwe = text(vector, "text");
    const std::string expect = text(vector, "expect");
    const auto decrypt = [&] {
      if (vector.contains("password")) return jwe_decrypt_password(jwe, text(vector, "password"));
      return jwe_decrypt(jwe, Jwk::parse(vector.at("key").dump()), JwePolicy::foreign);
    };
    if (expect == "opens") {
      EXPECT_EQ(as_text(decrypt().view()), as_text(base64url_decode(text(vector, "plaintext"))));
      ++opened;
    } else {
      EXPECT_EQ(status_name(test::status_of(decrypt)), expect);
    }
  }
  EXPECT_GE(opened, 30u);
}

TEST(RfcVectors, Jws) {
  std::size_t verified = 0;
  const json file = load("rfc_jose.json");
  for (const json& vector : file.at("jws")) {
    SCOPED_TRACE(text(vector, "name"));
    const Jwk key = Jwk::parse(vector.at("key").dump());
    const std::string jws = text(vector, "text");
    const Bytes payload = base64url_decode(text(vector, "payload"));
    EXPECT_EQ(jws_verify_any(jws, key), payload);
    ++verified;
    const std::string alg = jws_header(jws).alg;
    if (alg == "EdDSA" || alg == "ES256") {
      EXPECT_EQ(jws_verify(jws, key, ""), payload);
      EXPECT_STATUS(untrusted, jws_verify(jws, key, "ptsecure-manifest+jws"));
    } else {
      EXPECT_STATUS(untrusted, jws_verify(jws, key, ""));
    }
  }
  EXPECT_GE(verified, 9u);
}

TEST(RfcVectors, Jwk) {
  std::size_t thumbprints = 0;
  const json file = load("rfc_jose.json");
  for (const json& vector : file.at("jwk")) {
    SCOPED_TRACE(text(vector, "name"));
    const json& original = vector.at("key");
    const Jwk key = Jwk::parse(original.dump());
    EXPECT_EQ(key.is_private(), vector.at("private").get<bool>());
    const std::string written =
        key.is_private() ? std::string(std::string_view(key.private_json())) : key.public_json();
    EXPECT_EQ(json::parse(written), original);
    if (vector.contains("thumbprint")) {
      EXPECT_EQ(key.thumbprint(), text(vector, "thumbprint"));
      ++thumbprints;
    }
  }
  EXPECT_GE(thumbprints, 4u);
}

TEST(TinkVectors, GoldenPayloadsOpen) {
  const json golden = load("tink.json");
  ASSERT_GE(golden.size(), 3u);
  for (const json& vector : golden) {
    const SecretBytes dek = base64url_decode_secret(text(vector, "dek"));
    const Bytes stored = base64url_decode(text(vector, "stored"));
    const Bytes plain = base64url_decode(text(vector, "plaintext"));
    const SegmentOpener opener(dek.view(), as_bytes(text(vector, "associated_data")),
                               ByteView(stored).first(kHeaderSize), stored.size());
    Bytes out(plain.size());
    ASSERT_EQ(opener.plaintext_size(), plain.size());
    opener.open(0, stored, out);
    EXPECT_EQ(out, plain);
  }
}

}  // namespace
}  // namespace ptsecure
