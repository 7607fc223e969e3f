#include "keyring_fixture.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/jwk.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

// RSA keys are read, not made, here: one of 2048 bits of no other use.
const char* const kRsaKey =
    R"({"kty":"RSA","use":"enc","alg":"RSA-OAEP-256","n":"tM_2F6z3NtqDVJNH2UCBKsMvc4--HpklH)"
    R"(677KcNA30aJlq6m5xGkjtxZWNazEOfnsMhRsvbBKs8TFdBdwnWbiH5IkPzXr0oXfRRJO4d-o1kHEhZoTx34b)"
    R"(XjgKQEH0PltRIFTW1os1dNl1K_w4uLO2wDm3LoJfJho88JnnOh2qBbXeTqEEmCVnjlRz_mahmR-D6vDFxuBN)"
    R"(zBD3SMXVBtNVYkLqXdS38CaIv-IeYy-ZwoAm4MAy_EUF8Gfta3X7LCjuIjvS0jXK2JSVILQWEPU0i9eyvXk-)"
    R"(GE8U_DW6yGqnXMImEy4Of2r0eSsgrpmp-vGrc9seuB_t8AZj-18dMiIXQ","e":"AQAB","d":"BqADdYOys)"
    R"(Qt0yOYAnC0o9dNPV48Fm-9nz_km1Hpeyg-PNB0O6PfFrWpfLKLVk3CeUOUTqKdtKUWyzT74GR8bIIEeM7dWI)"
    R"(LuRQYcAODxm8xeT63AgvxJNq2-nFSXY5z1gGmmi-7iaXLnO5oeXM0GhTe1vEezBRti_ssp7vxv9uyyYEogk1)"
    R"(LvxzmNJeragaKtBooJ-QzLNNXm_lWyeF7nox5mn-BsJ-fqJvlLF-LwBo2ImrF7nn0-V5qn4w1F6KokWe5LTf)"
    R"(P3LYQfhgelOje7kTP1khLORhCFcsJ4u49h-c6dmFIAG1035WxO-LxgXs9H3MSKAfdke9yifcRC5h8hibQ",")"
    R"(p":"-OUO42GHShHfj-nL-GDBrUQzSG3ZZeXhoCL6oOy_ItH8KvpqVSLyo0F02JahI9TpkLr3H16gOQW3Ik9g)"
    R"(xWyHKhfRih0Ai6RuHpQq80Pp4xZFIpC-o5XaZ_tEv3Po3LvA2iH1Edmx51TQYiOQSJUztyCRJOq8Yo9rMLZk)"
    R"(Ij9FqcM","q":"uflaCZ1nhNoRCB8QKeCfQ9__547Lyxoc9CH0-yb1xJUvOQv0hRRO4j8dFBGmaGxYGNhmIB)"
    R"(9nYHPD8XlAdQvufF7AClQn3OkjJqTscVR9hs9gAhdSK9-00lCTR5vUZ5ZU3JsaTi8JtNgvr4k6oXT9di40pp)"
    R"(qrx-gOy6flh6b1w18","dp":"G5JkX9QCBLaOKYcgzVcKnYMcmz1wA9W_dNnrIcCYO-c_JBOxi9TfRC6QHx4)"
    R"(wo6OGbD4J-jOlVCvJ6ccZVUV8g7E3yTEFSnLgsAqB54jyc_GXnwih1cVX-IThTMQuW6WA66kvWNbg2luO6hA)"
    R"(-f4vnurWk3o4SaGiy2yaZWSHhObk","dq":"Q6DBdS2gL1d9Sg7BufjM8cnLLVFoGntse_q9M3d_d_UoLv6B)"
    R"(9MLlzLBWyq2Abgi4IJDQ0m2ZEiIG5xDIt8eW-fMasqbXuCWveqYOtUecPiG7MAd7Ailff_t9E1U_cEvioDZm)"
    R"(4neIeBMFhDfK8luwsAEtdEhan19rwfNULHgydtE","qi":"VJR8U8gghBdWqypq4yHacvOmoT5UVLVEGnw7h)"
    R"(eVH7nWY-fqkSru-CLnGXDbyxh21df99NHhtjLRlDQlPnWlKpD03ss0yNUrxiPaOMj01jTMw1YcOwtMvOGacs)"
    R"(6cYxwSRLwwJvmv51KuGRJsXoG76wA1OVUAhF3_WMl-vHr25y3A"})";

json with_use(const Jwk& key) {
  return json_of(key.with_members({{"use", "enc"}}));
}

class WrapTest : public testing::Test {
 protected:
  bool opens(const Keyring& keyring, const std::vector<Wrap>& wraps) const {
    const SecretBytes opened = keyring.unwrap(wraps, "id-1");
    return opened.size() == 32 && std::equal(opened.data(), opened.data() + 32, dek_.data());
  }

  SecretBytes dek_ = SecretBytes::random(32);
};

TEST_F(WrapTest, EveryKindOfKeyWraps) {
  const std::vector<std::pair<json, std::string>> keys = {
      {with_use(Jwk::generate_p256()), "ECDH-ES+A256KW"},
      {with_use(Jwk::generate_oct(32)), "A256KW"},
      {json::parse(kRsaKey), "RSA-OAEP-256"},
  };
  json all = json::array();
  for (const auto& [key, alg] : keys) {
    all.push_back(key);
    const Keyring keyring = parse_set({{"keys", {key}}});
    const auto wraps = keyring.wrap(dek_.view(), "id-1");
    ASSERT_EQ(wraps.size(), 1U);
    const JweHeader header = jwe_header(wraps[0].jwe);
    EXPECT_EQ(header.alg, alg);
    EXPECT_EQ(header.enc, "A256GCM");
    EXPECT_EQ(header.cty, "jwk+json");
    EXPECT_EQ(header.kid, wraps[0].kid);
    EXPECT_TRUE(opens(keyring, wraps)) << alg;
  }
  const auto wraps = parse_set({{"keys", all}}).wrap(dek_.view(), "id-1");
  ASSERT_EQ(wraps.size(), 3U);
  for (const auto& [key, alg] : keys) {
    EXPECT_TRUE(opens(parse_set({{"keys", {key}}}), wraps)) << alg << " among three";
  }
}

TEST_F(WrapTest, HoldsADocumentedJwk) {
  const Jwk key = Jwk::generate_p256();
  const auto wraps = parse_set({{"keys", {with_use(key)}}}).wrap(dek_.view(), "id-1");
  const SecretBytes text = jwe_decrypt(wraps[0].jwe, key, JwePolicy::key_document);
  const json jwk = json::parse(as_text(text.view()));
  EXPECT_EQ(jwk["kty"], "oct");
  EXPECT_EQ(jwk["kid"], "id-1");
  EXPECT_EQ(jwk["use"], "enc");
  EXPECT_EQ(jwk["alg"], "AES256_GCM_HKDF_1MB");
  EXPECT_EQ(jwk.size(), 5U);
}

TEST_F(WrapTest, NobodyElseOpens) {
  const Keyring ours = Keyring::generate();
  const auto wraps = ours.wrap(dek_.view(), "id-1");
  expect_error(Status::no_key, "wrapped for " + wraps[0].kid,
               [&] { Keyring::generate().unwrap(wraps, "id-1"); });
  expect_error(Status::no_key, "nobody", [&] { ours.unwrap({}, "id-1"); });
}

TEST_F(WrapTest, AWrapOfAnotherContentKeyIsRefused) {
  const Keyring keyring = Keyring::generate();
  const auto wraps = keyring.wrap(dek_.view(), "id-1");
  expect_error(Status::corrupt, "another content key", [&] { keyring.unwrap(wraps, "id-2"); });
}

TEST_F(WrapTest, EveryDamageIsRefused) {
  const Keyring keyring = Keyring::generate();
  auto wraps = keyring.wrap(dek_.view(), "id-1");
  const std::string good = wraps[0].jwe;
  for (std::size_t i = 0; i < good.size(); i += 3) {
    wraps[0].jwe = good;
    wraps[0].jwe[i] = good[i] == 'A' ? 'B' : 'A';
    EXPECT_ANY_THROW(keyring.unwrap(wraps, "id-1")) << i;
  }
  for (const std::string& text : {std::string(), std::string("...."), good + ".", good + "A"}) {
    wraps[0].jwe = text;
    EXPECT_ANY_THROW(keyring.unwrap(wraps, "id-1")) << text;
  }
}

TEST_F(WrapTest, OnlyTheRightContentIsAccepted) {
  const Jwk key = Jwk::generate_p256();
  const Keyring keyring = parse_set({{"keys", {with_use(key)}}});
  const auto with = [&](const std::string& jwk, const char* cty) {
    const std::vector<Wrap> wraps = {{key.kid(), jwe_encrypt(as_bytes(jwk), key, cty)}};
    keyring.unwrap(wraps, "id-1");
  };
  const std::string k43(43, 'E');
  const std::string good = R"({"kty":"oct","kid":"id-1","k":")" + k43.substr(1) + "A\"}";
  EXPECT_NO_THROW(with(good, "jwk+json"));
  expect_error(Status::corrupt, "cty", [&] { with(good, "json"); });
  expect_error(Status::corrupt, "cty", [&] { with(good, ""); });
  for (const std::string& jwk :
       {std::string("{}"), std::string("x"),
        std::string(R"({"kty":"oct","kid":"id-1","k":"AAEC"})"),
        R"({"kty":"oct","k":")" + k43.substr(1) + "A\"}",
        R"({"kty":"oct","kid":"id-1","kid":"id-1","k":")" + k43.substr(1) + "A\"}",
        R"({"kty":"oct","kid":"id-1","k":")" + std::string(43, 'A') + "\"}",
        json_of(Jwk::generate_ed25519().with_members({{"kid", "id-1"}})).dump()}) {
    expect_error(Status::corrupt, "", [&] { with(jwk, "jwk+json"); });
  }
}

TEST_F(WrapTest, AWrapUnderAnotherKidIsRefused) {
  const Jwk a = Jwk::generate_p256(), b = Jwk::generate_p256();
  const Keyring keyring = parse_set({{"keys", {with_use(a), with_use(b)}}});
  auto wraps = keyring.wrap(dek_.view(), "id-1");
  std::swap(wraps[0].jwe, wraps[1].jwe);
  expect_error(Status::corrupt, "names another key", [&] { keyring.unwrap(wraps, "id-1"); });
}

TEST_F(WrapTest, ContentKeysHave32Bytes) {
  expect_error(Status::internal, "32 bytes",
               [&] { Keyring::generate().wrap(dek_.view().first(31), "id-1"); });
}

}  // namespace
}  // namespace ptsecure
