#include "keyring_fixture.hpp"
#include "libptsecure/crypto/base64url.hpp"
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
    const SecretBytes opened = unwrap(keyring, wraps, "id-1", dek_);
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
    const auto wraps = wrap(keyring, dek_, "id-1");
    ASSERT_EQ(wraps.size(), 1U);
    const JweHeader header = jwe_header(wraps[0].wrapped);
    EXPECT_EQ(header.alg, alg);
    EXPECT_EQ(header.enc, "A256GCM");
    EXPECT_EQ(header.cty, "jwk+json");
    EXPECT_EQ(header.kid, wraps[0].kid);
    EXPECT_TRUE(opens(keyring, wraps)) << alg;
  }
  const auto wraps = wrap(parse_set({{"keys", all}}), dek_, "id-1");
  ASSERT_EQ(wraps.size(), 3U);
  for (const auto& [key, alg] : keys) {
    EXPECT_TRUE(opens(parse_set({{"keys", {key}}}), wraps)) << alg << " among three";
  }
}

TEST_F(WrapTest, HoldsADocumentedJwk) {
  const Jwk key = Jwk::generate_p256();
  const auto wraps = wrap(parse_set({{"keys", {with_use(key)}}}), dek_, "id-1");
  const SecretBytes text = jwe_decrypt(wraps[0].wrapped, key, JwePolicy::key_document);
  const json jwk = json::parse(as_text(text.view()));
  EXPECT_EQ(jwk["kty"], "oct");
  EXPECT_EQ(jwk["kid"], "id-1");
  EXPECT_EQ(jwk["use"], "enc");
  EXPECT_EQ(jwk["alg"], "AES256_GCM_HKDF_1MB");
  EXPECT_EQ(jwk.size(), 5U);
}

TEST_F(WrapTest, NobodyElseOpens) {
  const Keyring ours = Keyring::generate();
  const auto wraps = wrap(ours, dek_, "id-1");
  expect_error(Status::no_key, "wrapped for " + wraps[0].kid,
               [&] { unwrap(Keyring::generate(), wraps, "id-1", dek_); });
  expect_error(Status::no_key, "nobody", [&] { unwrap(ours, {}, "id-1", dek_); });
}

TEST_F(WrapTest, AWrapOfAnotherContentKeyIsRefused) {
  const Keyring keyring = Keyring::generate();
  const auto wraps = wrap(keyring, dek_, "id-1");
  expect_error(Status::corrupt, "another content key",
               [&] { unwrap(keyring, wraps, "id-2", dek_); });
  const SecretBytes other = SecretBytes::random(32);
  expect_error(Status::corrupt, "than the manifest commits to",
               [&] { unwrap(keyring, wraps, "id-1", other); });
}

TEST_F(WrapTest, EveryDamageIsRefused) {
  const Keyring keyring = Keyring::generate();
  auto wraps = wrap(keyring, dek_, "id-1");
  const std::string good = wraps[0].wrapped;
  for (std::size_t i = 0; i < good.size(); i += 3) {
    wraps[0].wrapped = good;
    wraps[0].wrapped[i] = good[i] == 'A' ? 'B' : 'A';
    EXPECT_ANY_THROW(unwrap(keyring, wraps, "id-1", dek_)) << i;
  }
  for (const std::string& text : {std::string(), std::string("...."), good + ".", good + "A"}) {
    wraps[0].wrapped = text;
    EXPECT_ANY_THROW(unwrap(keyring, wraps, "id-1", dek_)) << text;
  }
}

TEST_F(WrapTest, OnlyTheRightContentIsAccepted) {
  const Jwk key = Jwk::generate_p256();
  const Keyring keyring = parse_set({{"keys", {with_use(key)}}});
  const SecretBytes dek = SecretBytes::copy(base64url_decode(std::string(42, 'E') + 'A'));
  const auto with = [&](const std::string& jwk, const char* cty) {
    const std::vector<Wrap> wraps = {{key.kid(), {}, jwe_encrypt(as_bytes(jwk), key, cty)}};
    unwrap(keyring, wraps, "id-1", dek);
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
  auto wraps = wrap(keyring, dek_, "id-1");
  std::swap(wraps[0].wrapped, wraps[1].wrapped);
  expect_error(Status::corrupt, "names another key", [&] { unwrap(keyring, wraps, "id-1", dek_); });
}

// Whoever finds one of its entries damaged may have another: each is tried, wherever it stands.
TEST_F(WrapTest, ADamagedEntryHidesNoOther) {
  const Jwk a = Jwk::generate_p256(), b = Jwk::generate_p256();
  const Keyring keyring = parse_set({{"keys", {with_use(a), with_use(b)}}});
  const auto good = wrap(keyring, dek_, "id-1");
  const Wrap same_kid = wrap(parse_set({{"keys", {with_use(a)}}}), dek_, "id-1").front();
  for (const std::string& text :
       {std::string(), std::string("...."), std::string("{}"), good[1].wrapped,
        good[0].wrapped.substr(0, 40) + "x", good[0].wrapped + "A", std::string(1 << 17, 'A')}) {
    const Wrap bad{a.kid(), {}, text};
    EXPECT_TRUE(opens(keyring, {bad, good[1]})) << text;
    EXPECT_TRUE(opens(keyring, {good[1], bad})) << text;
    EXPECT_TRUE(opens(keyring, {bad, bad, same_kid})) << text;
    EXPECT_ANY_THROW(unwrap(keyring, std::vector<Wrap>{bad}, "id-1", dek_)) << text;
  }
}

TEST_F(WrapTest, WhenNoneOpensEachIsNamed) {
  const Jwk a = Jwk::generate_p256(), b = Jwk::generate_p256();
  const Keyring keyring = parse_set({{"keys", {with_use(a), with_use(b)}}});
  auto wraps = wrap(keyring, dek_, "id-1");
  wraps[0].wrapped.resize(wraps[0].wrapped.size() - 4);
  std::swap(wraps[1].wrapped, wraps[0].wrapped);
  wraps.push_back({"stranger", {}, wraps[0].wrapped});
  for (const char* part : {a.kid().c_str(), b.kid().c_str(), "names another key"}) {
    expect_error(Status::corrupt, part, [&] { unwrap(keyring, wraps, "id-1", dek_); });
  }
}

// What an entry says of itself comes from whoever signed the key's record.
TEST_F(WrapTest, HostileEntriesAreBoundedAndShownSafely) {
  const Keyring keyring = Keyring::generate();
  std::vector<Wrap> wraps(1024, {std::string(1000, 'k') + "\n\x1b[2J", {}, "x"});
  try {
    unwrap(keyring, wraps, "id-1", dek_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::no_key);
    EXPECT_LT(std::string(error.what()).size(), 1000U);
    EXPECT_EQ(std::string(error.what()).find_first_of("\n\x1b"), std::string::npos);
  }
  const Wrap own = wrap(keyring, dek_, "id-1").front();
  wraps.assign(1023, {own.kid, {}, "x"});
  expect_error(Status::corrupt, "and 1015 more", [&] { unwrap(keyring, wraps, "id-1", dek_); });
  wraps.push_back(own);
  EXPECT_TRUE(opens(keyring, wraps)) << "the last of 1024";
  wraps.push_back(own);
  expect_error(Status::limit_exceeded, "1025 recipients",
               [&] { unwrap(keyring, wraps, "id-1", dek_); });
}

// A compact JWE whose header is another one than it was sealed with.
TEST_F(WrapTest, AlgorithmsAreNotConfused) {
  const Jwk a = Jwk::generate_p256();
  const Keyring keyring = parse_set({{"keys", {with_use(a)}}});
  const Wrap good = wrap(keyring, dek_, "id-1").front();
  const std::size_t dot = good.wrapped.find('.');
  const Bytes sealed = base64url_decode(good.wrapped.substr(0, dot));
  const json header = json::parse(as_text(sealed));
  const auto with = [&](const json& patch) {
    json changed = header;
    changed.merge_patch(patch);
    const std::string text = base64url_encode(as_bytes(changed.dump())) + good.wrapped.substr(dot);
    return std::vector<Wrap>{{a.kid(), {}, text}};
  };
  const std::vector<json> patches = {
      {{"alg", "none"}},          {{"alg", "A256KW"}},
      {{"alg", "RSA-OAEP-256"}},  {{"alg", "dir"}},
      {{"alg", "ECDH-ES"}},       {{"alg", "PBES2-HS256+A128KW"}, {"p2c", 1000}},
      {{"alg", "RSA1_5"}},        {{"enc", "none"}},
      {{"enc", "A256CBC-HS512"}}, {{"zip", "DEF"}},
      {{"crit", {"exp"}}},        {{"jku", "http://127.0.0.1/"}},
      {{"jwk", header["epk"]}},   {{"Alg", "none"}},
      {{"epk", nullptr}},         {{"epk", {{"x", header["epk"]["y"]}}}}};
  for (const json& patch : patches) {
    EXPECT_ANY_THROW(unwrap(keyring, with(patch), "id-1", dek_)) << patch;
    auto wraps = with(patch);
    wraps.push_back(good);
    EXPECT_TRUE(opens(keyring, wraps)) << patch;
  }
}

TEST_F(WrapTest, ContentKeysHave32Bytes) {
  expect_error(Status::internal, "32 bytes",
               [&] { Keyring::generate().wrap(dek_.view().first(31), context_of("id-1"), {}); });
}

}  // namespace
}  // namespace ptsecure
