#include "libptsecure/keyring/keyring.hpp"

#include "keyring_fixture.hpp"
#include "libptsecure/crypto/jws.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

constexpr std::array kKinds = {RecordKind::manifest, RecordKind::alias, RecordKind::key,
                               RecordKind::apikey, RecordKind::log};

json signing_key(const Jwk& key, const json& records, const json& names) {
  return json_of(
      key.with_members({{"use", "sig"}, {"ptsecure", {{"records", records}, {"names", names}}}}));
}

std::string kid_of(const Keyring& keyring, std::size_t i) {
  return set_of(keyring)["keys"][i]["kid"];
}

TEST(Keyring, GeneratedOneDoesEverything) {
  const Keyring keyring = Keyring::generate();
  EXPECT_TRUE(keyring.has_private());
  const json set = set_of(keyring);
  ASSERT_EQ(set["keys"].size(), 3U);
  for (const json& key : set["keys"]) {
    EXPECT_EQ(key["kid"], Jwk::parse(key.dump()).thumbprint()) << "RFC 7638";
    EXPECT_TRUE(key.contains("d"));
  }
  for (const RecordKind kind : kKinds) {
    EXPECT_TRUE(keyring.can_sign(kind, "digits"));
    const std::string jws = keyring.sign(kind, "digits", as_bytes("payload"));
    EXPECT_EQ(verify_text(keyring, kind, "digits", jws), "payload");
    EXPECT_EQ(verify_text(keyring.public_part(), kind, "digits", jws), "payload");
    EXPECT_EQ(jws_header(jws).typ, "ptsecure-" + std::string(record_kind_name(kind)) + "+jws");
  }
  EXPECT_NE(kid_of(keyring, 0), kid_of(Keyring::generate(), 0));
}

TEST(Keyring, RoundTripsThroughJson) {
  const Keyring keyring = Keyring::generate();
  EXPECT_EQ(set_of(parse_set(set_of(keyring))), set_of(keyring));
  const json open = set_of(keyring.public_part());
  for (const json& key : open["keys"]) EXPECT_FALSE(key.contains("d"));
  EXPECT_FALSE(keyring.public_part().has_private());
  EXPECT_TRUE(open["keys"][0].contains("ptsecure")) << "trust travels with the public key";
}

// What each role can do and what it can't.
TEST(Keyring, RolesAreSeparate) {
  const Keyring all = Keyring::generate();
  const Keyring publisher = all.split(Role::publisher);
  const Keyring opener = all.split(Role::opener);
  const Keyring verifier = all.split(Role::verifier);
  const Keyring admin = all.split(Role::operator_);
  const SecretBytes dek = SecretBytes::random(32);

  EXPECT_TRUE(publisher.can_sign(RecordKind::manifest, "m"));
  EXPECT_TRUE(publisher.can_sign(RecordKind::log, "m"));
  for (const Keyring* ring : {&opener, &verifier}) {
    for (const RecordKind kind : kKinds) EXPECT_FALSE(ring->can_sign(kind, "m"));
  }
  EXPECT_FALSE(admin.can_sign(RecordKind::manifest, "m"));
  for (const RecordKind kind : {RecordKind::alias, RecordKind::key, RecordKind::apikey}) {
    EXPECT_TRUE(admin.can_sign(kind, "m"));
    EXPECT_FALSE(publisher.can_sign(kind, "m"));
  }

  const std::vector<Wrap> wraps = wrap(publisher, dek, "id");
  for (const Keyring* ring : {&opener, &admin, &all}) {
    const SecretBytes opened = unwrap(*ring, wraps, "id", dek);
    EXPECT_TRUE(std::equal(opened.data(), opened.data() + 32, dek.data()));
  }
  for (const Keyring* ring : {&publisher, &verifier}) {
    expect_error(Status::no_key, wraps[0].kid, [&] { unwrap(*ring, wraps, "id", dek); });
  }
  expect_error(Status::no_key, "publisher's keyring", [&] { wrap(verifier, dek, "id"); });

  const std::string jws = publisher.sign(RecordKind::manifest, "m", as_bytes("x"));
  for (const Keyring* ring : {&publisher, &opener, &verifier, &admin}) {
    EXPECT_EQ(verify_text(*ring, RecordKind::manifest, "m", jws), "x");
  }
  EXPECT_FALSE(verifier.has_private());
  EXPECT_TRUE(opener.has_private());
}

TEST(Keyring, SplittingAPartOfARoleSaysWhatIsMissing) {
  const Keyring all = Keyring::generate();
  const Keyring verifier = all.split(Role::verifier);
  for (const Role role : {Role::publisher, Role::opener, Role::operator_}) {
    expect_error(Status::no_key, "can't become", [&] { verifier.split(role); });
  }
  EXPECT_NO_THROW(verifier.split(Role::verifier));
  expect_error(Status::no_key, "publisher",
               [&] { all.split(Role::opener).split(Role::publisher); });
  expect_error(Status::no_key, "operator",
               [&] { all.split(Role::publisher).split(Role::operator_); });
  expect_error(Status::no_key, "opener", [&] { all.split(Role::publisher).split(Role::opener); });
}

TEST(Keyring, SymmetricWrappingKeyBelongsToBothSides) {
  json set = set_of(Keyring::generate());
  set["keys"][2] = json_of(Jwk::generate_oct(32).with_members({{"use", "enc"}}));
  const Keyring all = parse_set(set);
  const SecretBytes dek = SecretBytes::random(32);
  const auto wraps = wrap(all.split(Role::publisher), dek, "id");
  const SecretBytes opened = unwrap(all.split(Role::opener), wraps, "id", dek);
  EXPECT_TRUE(std::equal(opened.data(), opened.data() + 32, dek.data()));
  EXPECT_EQ(set_of(all.public_part())["keys"].size(), 2U) << "left out";
  EXPECT_EQ(set_of(all.split(Role::verifier))["keys"].size(), 2U);
}

TEST(Keyring, RolesByName) {
  EXPECT_EQ(role_from_name("publisher"), Role::publisher);
  EXPECT_EQ(role_from_name("opener"), Role::opener);
  EXPECT_EQ(role_from_name("verifier"), Role::verifier);
  EXPECT_EQ(role_from_name("operator"), Role::operator_);
  expect_error(Status::invalid_argument, "publisher, opener, verifier or operator",
               [] { role_from_name("admin\n"); });
}

TEST(Keyring, UnknownForeignAndTamperedSignaturesAreRefused) {
  const Keyring ours = Keyring::generate();
  const Keyring theirs = Keyring::generate();
  const std::string foreign = theirs.sign(RecordKind::manifest, "m", as_bytes("x"));
  expect_error(Status::untrusted, "doesn't hold",
               [&] { verify_text(ours, RecordKind::manifest, "m", foreign); });

  const std::string good = ours.sign(RecordKind::manifest, "m", as_bytes("hello"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    EXPECT_ANY_THROW(verify_text(ours, RecordKind::manifest, "m", bad)) << i;
  }
  for (const char* text : {"", ".", "..", "a.b.c", "{}", "e30.e30.e30"}) {
    EXPECT_ANY_THROW(verify_text(ours, RecordKind::manifest, "m", text)) << text;
  }
  EXPECT_ANY_THROW(verify_text(Keyring(), RecordKind::manifest, "m", good));
}

TEST(Keyring, AKeyThatOnlySharesTheKidIsRefused) {
  json set = set_of(Keyring::generate());
  const Keyring ours = parse_set(set);
  json impostor = signing_key(Jwk::generate_ed25519(), {"manifest"}, {"*"});
  impostor["kid"] = kid_of(ours, 0);
  const std::string jws =
      parse_set({{"keys", {impostor}}}).sign(RecordKind::manifest, "m", as_bytes("x"));
  expect_error(Status::untrusted, "", [&] { verify_text(ours, RecordKind::manifest, "m", jws); });
}

TEST(Keyring, ARecordOfOneKindDoesNotPassForAnother) {
  json set = set_of(Keyring::generate());
  set["keys"][0]["ptsecure"]["records"] = {"manifest", "alias", "key", "apikey", "log"};
  const Keyring keyring = parse_set(set);
  for (const RecordKind made : kKinds) {
    const std::string jws = keyring.sign(made, "m", as_bytes("x"));
    for (const RecordKind asked : kKinds) {
      if (made == asked) continue;
      expect_error(Status::untrusted, "typ", [&] { verify_text(keyring, asked, "m", jws); });
    }
  }
}

TEST(Keyring, PolicyListsRecordsAndNames) {
  const Jwk key = Jwk::generate_ed25519();
  const Keyring all = parse_set({{"keys", {signing_key(key, {"manifest"}, {"*"})}}});
  const std::string digits = all.sign(RecordKind::manifest, "digits", as_bytes("x"));
  const auto trusts = [&](const json& records, const json& names, const char* name) {
    const Keyring keyring = parse_set({{"keys", {signing_key(key, records, names)}}});
    const RecordKind kind = RecordKind::manifest;
    try {
      keyring.verify({&kind, 1}, name, digits);
      return true;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::untrusted);
      EXPECT_FALSE(keyring.can_sign(kind, name));
      return false;
    }
  };
  EXPECT_TRUE(trusts({"manifest"}, {"digits"}, "digits"));
  EXPECT_TRUE(trusts({"log", "manifest"}, {"other", "dig*"}, "digits"));
  EXPECT_TRUE(trusts({"manifest"}, {"digits*"}, "digits"));
  EXPECT_FALSE(trusts({"manifest"}, {"digit"}, "digits"));
  EXPECT_FALSE(trusts({"manifest"}, {"digits2"}, "digits"));
  EXPECT_FALSE(trusts({"manifest"}, {"team-*"}, "digits"));
  EXPECT_FALSE(trusts({"manifest"}, {"team-*"}, "team"));
  EXPECT_FALSE(trusts({"manifest"}, json::array(), "digits"));
  EXPECT_FALSE(trusts({"alias"}, {"*"}, "digits"));
  EXPECT_FALSE(trusts(json::array(), {"*"}, "digits"));
  EXPECT_FALSE(trusts({"manifest"}, {"digits"}, "Digits"));
}

TEST(Keyring, AKeyWithoutAPolicyIsTrustedForNothing) {
  json set = set_of(Keyring::generate());
  const std::string jws = parse_set(set).sign(RecordKind::manifest, "m", as_bytes("x"));
  set["keys"][0].erase("ptsecure");
  const Keyring keyring = parse_set(set);
  EXPECT_FALSE(keyring.can_sign(RecordKind::manifest, "m"));
  expect_error(Status::untrusted, "doesn't trust",
               [&] { verify_text(keyring, RecordKind::manifest, "m", jws); });
  expect_error(Status::no_key, "kind manifest for \"m\"",
               [&] { keyring.sign(RecordKind::manifest, "m", as_bytes("x")); });
}

TEST(Keyring, OneOfSeveralKindsMaySign) {
  const Keyring all = Keyring::generate();
  const std::array kinds = {RecordKind::alias, RecordKind::manifest};
  const std::string by_operator = all.sign(RecordKind::alias, kinds, "m", as_bytes("x"));
  EXPECT_EQ(jws_header(by_operator).kid, kid_of(all, 1)) << "who signs aliases comes first";
  const std::string by_publisher =
      all.split(Role::publisher).sign(RecordKind::alias, kinds, "m", as_bytes("x"));
  EXPECT_EQ(jws_header(by_publisher).kid, kid_of(all, 0));
  EXPECT_EQ(jws_header(by_publisher).typ, "ptsecure-alias+jws");
  std::string signer;
  EXPECT_NO_THROW(all.verify(kinds, "m", by_publisher, &signer));
  EXPECT_EQ(signer, kid_of(all, 0));
  expect_error(Status::untrusted, "doesn't trust",
               [&] { all.verify({kinds.data(), 1}, "m", by_publisher); });
}

TEST(Keyring, Es256KeysSignToo) {
  const Keyring keyring =
      parse_set({{"keys", {signing_key(Jwk::generate_p256(), {"manifest"}, {"*"})}}});
  const std::string jws = keyring.sign(RecordKind::manifest, "m", as_bytes("x"));
  EXPECT_EQ(jws_header(jws).alg, "ES256");
  EXPECT_EQ(verify_text(keyring.public_part(), RecordKind::manifest, "m", jws), "x");
}

TEST(Keyring, EncryptionKeysNeverCountAsSigners) {
  json set = set_of(Keyring::generate());
  set["keys"][2]["ptsecure"] = {{"records", {"manifest"}}, {"names", {"*"}}};
  const Keyring with_policy = parse_set(set);
  set["keys"].erase(0);
  EXPECT_FALSE(parse_set(set).can_sign(RecordKind::manifest, "m"));
}

TEST(Keyring, KeysThatContradictThemselvesAreRefused) {
  const json good = set_of(Keyring::generate());
  const auto refused = [&](std::size_t i, const json& patch, Status status) {
    json set = good;
    set["keys"][i].merge_patch(patch);
    expect_error(status, "", [&] { parse_set(set); });
  };
  refused(0, {{"use", "enc"}}, Status::unsupported);
  refused(0, {{"use", "both"}}, Status::unsupported);
  refused(0, {{"alg", "ES256"}}, Status::unsupported);
  refused(0, {{"alg", "none"}}, Status::unsupported);
  refused(2, {{"alg", "ECDH-ES"}}, Status::unsupported);
  refused(2, {{"alg", "dir"}}, Status::unsupported);
  refused(0, {{"ptsecure", "all"}}, Status::corrupt);
  refused(0, {{"ptsecure", {{"records", {"manifests"}}}}}, Status::corrupt);
  refused(0, {{"ptsecure", {{"records", {1}}}}}, Status::corrupt);
  refused(0, {{"ptsecure", {{"names", {"a*b"}}}}}, Status::corrupt);
  refused(0, {{"ptsecure", {{"names", {""}}}}}, Status::corrupt);
  refused(0, {{"ptsecure", {{"names", {"**"}}}}}, Status::corrupt);
  refused(0, {{"ptsecure", {{"names", nullptr}}}}, Status::corrupt);
  refused(0, {{"kid", "two words"}}, Status::corrupt);
  refused(0, {{"kid", std::string(129, 'k')}}, Status::corrupt);
  refused(0, {{"kid", good["keys"][1]["kid"]}}, Status::corrupt);
  refused(0, {{"d", good["keys"][1]["d"]}}, Status::corrupt);
  refused(0, {{"kty", "XYZ"}}, Status::unsupported);
  refused(2, {{"crv", "secp256k1"}}, Status::unsupported);
}

TEST(Keyring, SymmetricKeysMustBeRightAndNamed) {
  const json good = json_of(Jwk::generate_oct(32).with_members({{"use", "enc"}}));
  EXPECT_NO_THROW(parse_set({{"keys", {good}}}));
  json unnamed = good;
  unnamed.erase("kid");
  expect_error(Status::corrupt, "kid", [&] { parse_set({{"keys", {unnamed}}}); });
  json signing = good;
  signing["use"] = "sig";
  expect_error(Status::unsupported, "", [&] { parse_set({{"keys", {signing}}}); });
  const json shorter = json_of(Jwk::generate_oct(16).with_members({{"use", "enc"}}));
  expect_error(Status::unsupported, "32 bytes", [&] { parse_set({{"keys", {shorter}}}); });
}

TEST(Keyring, AsymmetricKeysWithoutKidGetTheirThumbprint) {
  json set = set_of(Keyring::generate());
  const std::string kid = set["keys"][2]["kid"];
  set["keys"][2].erase("kid");
  EXPECT_EQ(kid_of(parse_set(set), 2), kid);
}

TEST(Keyring, MalformedSetsAreRefused) {
  for (const char* text : {"{", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1]}",
                           "{\"keys\":[],\"keys\":[]}", "{\"keys\":[]} x"}) {
    expect_error(Status::corrupt, "", [&] { Keyring::parse(text, {}); });
  }
  for (const char* text : {"", " ", "[]", "nonsense", "a.b.c.d.e", "{\"keys\":[{}]}"}) {
    EXPECT_ANY_THROW(Keyring::parse(text, {})) << text;
  }
  const std::string text = set_of(Keyring::generate()).dump();
  std::string twice = text;
  twice.replace(twice.find("\"kty\""), 5, "\"kty\":\"OKP\",\"kty\"");
  expect_error(Status::corrupt, "twice", [&] { Keyring::parse(twice, {}); });
}

TEST(Keyring, DescribesItselfWithoutSecrets) {
  const Keyring keyring = Keyring::generate();
  const std::string text = keyring.describe_json();
  const json lines = json::parse(text);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
  EXPECT_EQ(lines[0]["use"], "sig");
  EXPECT_EQ(lines[0]["records"], json({"manifest", "log"}));
  EXPECT_EQ(lines[0]["names"], json({"*"}));
  EXPECT_EQ(lines[0]["private"], true);
  EXPECT_EQ(lines[2]["use"], "enc");
  EXPECT_EQ(lines[2]["crv"], "P-256");
  const json set = set_of(keyring);
  for (const json& key : set["keys"]) {
    EXPECT_EQ(text.find(key["d"].get<std::string>()), std::string::npos);
  }
  EXPECT_EQ(json::parse(keyring.public_part().describe_json())[0]["private"], false);
}

}  // namespace
}  // namespace ptsecure
