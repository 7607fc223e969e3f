#include "libptsecure/crypto/jwk.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jwk_impl.hpp"
#include "libptsecure/crypto/secret_json.hpp"
#include "tests/crypto/expect_status.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

// RFC 7517 A.2 and RFC 8037 A.1.
const json kEc{{"kty", "EC"},
               {"crv", "P-256"},
               {"x", "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"},
               {"y", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
               {"d", "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}};
const json kEd{{"kty", "OKP"},
               {"crv", "Ed25519"},
               {"d", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"},
               {"x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}};
const json kOct{{"kty", "oct"}, {"k", "GawgguFyGrWKav7AX4VKUg"}};

json rsa() {
  std::ifstream in(std::string(PTSECURE_SOURCE_DIR) + "/tests/crypto/vectors/rfc_jose.json");
  const json file = json::parse(in);
  for (const json& each : file.at("jwk")) {
    if (each.at("name") == "RFC 7517 A.2 RSA") return each.at("key");
  }
  throw std::runtime_error("no RSA key among the vectors");
}

json with(json key, const char* name, json value) {
  key[name] = std::move(value);
  return key;
}

json without(json key, const char* name) {
  key.erase(name);
  return key;
}

std::string change(const json& key, const char* name, std::size_t byte) {
  Bytes bytes = base64url_decode(key.at(name).get<std::string>());
  bytes.at(byte) ^= 1;
  return base64url_encode(bytes);
}

Jwk parse(const json& key) {
  return Jwk::parse(key.dump());
}

json private_members(const Jwk& key) {
  return json::parse(std::string_view(key.private_json()));
}

TEST(Jwk, KnowsWhatItIs) {
  const Jwk ec = parse(with(with(kEc, "kid", "a"), "use", "enc"));
  EXPECT_EQ(ec.type(), KeyType::ec);
  EXPECT_EQ(ec.curve(), "P-256");
  EXPECT_EQ(ec.bits(), 256u);
  EXPECT_EQ(ec.kid(), "a");
  EXPECT_EQ(ec.use(), "enc");
  EXPECT_TRUE(ec.is_private());
  EXPECT_TRUE(ec.secret().empty());
  const Jwk ed = parse(without(kEd, "d"));
  EXPECT_EQ(ed.type(), KeyType::okp);
  EXPECT_EQ(ed.curve(), "Ed25519");
  EXPECT_FALSE(ed.is_private());
  const Jwk oct = parse(kOct);
  EXPECT_TRUE(oct.is_private());
  EXPECT_EQ(oct.bits(), 128u);
  EXPECT_EQ(hex(oct.secret()), "19ac2082e1721ab58a6afec05f854a52");
  EXPECT_EQ(parse(rsa()).bits(), 2048u);
  EXPECT_EQ(Jwk::parse(parse_secret_json(kEc.dump())).thumbprint(), ec.thumbprint());
}

TEST(Jwk, UnknownMembersAreKept) {
  const json extra{{"ptsecure", {{"records", {"manifest"}}, {"names", {"a*"}}}},
                   {"n1", -3},
                   {"n2", 2.5},
                   {"b", true},
                   {"deep", {{{"x", nullptr}}}}};
  json key = kEc;
  key.update(extra);
  key["key_ops"] = {"deriveKey"};
  const Jwk parsed = parse(key);
  EXPECT_EQ(parsed.extra(), extra);
  EXPECT_EQ(parsed.key_ops(), std::vector<std::string>{"deriveKey"});
  EXPECT_EQ(private_members(parsed), key);
  const json open = json::parse(parsed.public_json());
  EXPECT_EQ(open.at("ptsecure"), extra.at("ptsecure"));
  EXPECT_FALSE(open.contains("d"));
}

TEST(Jwk, PublicPartHoldsNothingPrivate) {
  for (const json& key : {kEc, kEd, rsa()}) {
    const Jwk whole = parse(with(key, "key_ops", {"sign", "decrypt", "verify"}));
    const Jwk open = whole.public_part();
    EXPECT_FALSE(open.is_private());
    EXPECT_EQ(open.thumbprint(), whole.thumbprint());
    EXPECT_EQ(open.key_ops(), (std::vector<std::string>{"verify", "encrypt"}));
    const json written = json::parse(open.public_json());
    for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "k"}) {
      EXPECT_FALSE(written.contains(name));
    }
    EXPECT_EQ(whole.public_json(), open.public_json());
    EXPECT_STATUS(invalid_argument, open.private_json());
    EXPECT_EQ(open.public_part().public_json(), open.public_json());
  }
  const Jwk oct = parse(kOct);
  EXPECT_STATUS(invalid_argument, oct.public_part());
  EXPECT_STATUS(invalid_argument, oct.public_json());
  EXPECT_EQ(private_members(oct), kOct);
}

TEST(Jwk, Generates) {
  for (const Jwk& key : {Jwk::generate_ed25519(), Jwk::generate_p256(), generate_ec("P-384"),
                         generate_ec("P-521")}) {
    EXPECT_EQ(key.kid(), key.thumbprint());
    EXPECT_EQ(key.kid().size(), 43u);
    const Jwk again = Jwk::parse(key.private_json());
    EXPECT_EQ(again.thumbprint(), key.thumbprint());
    EXPECT_EQ(again.private_json(), key.private_json());
  }
  EXPECT_NE(Jwk::generate_ed25519().kid(), Jwk::generate_ed25519().kid());
  const Jwk oct = Jwk::generate_oct(32);
  EXPECT_EQ(oct.secret().size(), 32u);
  EXPECT_EQ(oct.kid().size(), 22u);
  EXPECT_STATUS(corrupt, Jwk::generate_oct(0));
  EXPECT_EQ(as_text(Jwk::from_secret(as_bytes("0123456789abcdef")).secret()), "0123456789abcdef");
  EXPECT_STATUS(corrupt, Jwk::from_secret(Bytes(32, 0)));
}

TEST(Jwk, SetsMembers) {
  const Jwk key = parse(kEd);
  const Jwk set =
      key.with_members({{"kid", "k\"1"}, {"use", "sig"}, {"key_ops", {"sign"}}, {"x-y", 1}});
  EXPECT_EQ(set.kid(), "k\"1");
  EXPECT_EQ(set.extra(), (json{{"x-y", 1}}));
  EXPECT_EQ(key.kid(), "");
  EXPECT_EQ(parse(private_members(set)).kid(), "k\"1");
  const Jwk removed = set.with_members({{"kid", nullptr}, {"x-y", nullptr}, {"key_ops", nullptr}});
  EXPECT_EQ(private_members(removed), with(kEd, "use", "sig"));
  for (const char* name : {"kty", "d", "x", "k", "crv"}) {
    EXPECT_STATUS(invalid_argument, key.with_members({{name, "AAAA"}}));
  }
  EXPECT_STATUS(invalid_argument, key.with_members(json::array()));
  EXPECT_STATUS(corrupt, key.with_members({{"kid", 1}}));
}

TEST(Jwk, RefusesWhatIsMalformed) {
  const std::string duplicate =
      R"({"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg","k":"GawgguFyGrWKav7AX4VKUw"})";
  EXPECT_STATUS(corrupt, Jwk::parse(duplicate));
  EXPECT_STATUS(corrupt, Jwk::parse(std::string_view("")));
  EXPECT_STATUS(corrupt, Jwk::parse(std::string_view("[]")));
  EXPECT_STATUS(corrupt, Jwk::parse(std::string_view("{")));
  EXPECT_STATUS(unsupported, Jwk::parse(std::string_view("{}")));
  EXPECT_STATUS(corrupt, Jwk::parse(std::string(70000, ' ') + kOct.dump()));
  EXPECT_STATUS(corrupt, parse(with(kOct, "kty", 1)));
  EXPECT_STATUS(unsupported, parse(with(kOct, "kty", "OCT")));
  EXPECT_STATUS(unsupported, parse(with(kEc, "crv", "secp256k1")));
  EXPECT_STATUS(unsupported, parse(with(kEd, "crv", "X25519")));
  EXPECT_STATUS(corrupt, parse(with(kOct, "k", 5)));
  EXPECT_STATUS(corrupt, parse(with(kOct, "kid", nullptr)));
  EXPECT_STATUS(corrupt, parse(with(kOct, "kid", "")));
  EXPECT_STATUS(corrupt, parse(with(kOct, "kid", "a\nb")));
  EXPECT_STATUS(corrupt, parse(with(kOct, "kid", std::string(2000, 'a'))));
  EXPECT_STATUS(corrupt, parse(with(kOct, "key_ops", "sign")));
  EXPECT_STATUS(corrupt, parse(with(kOct, "key_ops", {"sign", "sign"})));
  EXPECT_STATUS(corrupt, parse(with(kOct, "key_ops", {1})));
}

TEST(Jwk, RefusesWeakAndMisshapenSecrets) {
  for (const char* k : {"", "AAAAAAAAAAAAAAAAAAAAAA", "AA", "GawgguFyGrWKav7AX4VKUh",
                        "GawgguFyGrWKav7AX4VKUg==", "Gawgg uFyGrWKav7AX4VKUg", "+/"}) {
    EXPECT_STATUS(corrupt, parse(with(kOct, "k", k)));
  }
  EXPECT_STATUS(corrupt, parse(with(kOct, "k", base64url_encode(Bytes(1025, 1)))));
  EXPECT_STATUS(corrupt, parse(without(kOct, "k")));
}

TEST(Jwk, RefusesPointsThatAreNone) {
  for (const json& base : {kEc, without(kEc, "d")}) {
    EXPECT_STATUS(corrupt, parse(with(base, "x", change(kEc, "x", 31))));
    EXPECT_STATUS(corrupt, parse(with(base, "y", change(kEc, "y", 0))));
    // (0, 0), which some code takes for the point at infinity.
    const std::string zero = base64url_encode(Bytes(32, 0));
    EXPECT_STATUS(corrupt, parse(with(with(base, "x", zero), "y", zero)));
    // A coordinate not below the field's prime.
    EXPECT_STATUS(corrupt, parse(with(base, "x", base64url_encode(Bytes(32, 0xff)))));
    // Another length, also by a leading zero.
    Bytes x = base64url_decode(kEc.at("x").get<std::string>());
    x.insert(x.begin(), 0);
    EXPECT_STATUS(corrupt, parse(with(base, "x", base64url_encode(x))));
    EXPECT_STATUS(corrupt, parse(with(base, "crv", "P-384")));
    EXPECT_STATUS(corrupt, parse(without(base, "y")));
  }
}

TEST(Jwk, RefusesPartsThatDoNotMatch) {
  EXPECT_STATUS(corrupt, parse(with(kEc, "d", change(kEc, "d", 31))));
  EXPECT_STATUS(corrupt, parse(with(kEc, "d", base64url_encode(Bytes(32, 0)))));
  EXPECT_STATUS(corrupt, parse(with(kEc, "d", base64url_encode(Bytes(32, 0xff)))));
  EXPECT_STATUS(corrupt, parse(with(kEc, "d", base64url_encode(Bytes(31, 1)))));
  EXPECT_STATUS(corrupt, parse(with(kEd, "d", change(kEd, "d", 0))));
  EXPECT_STATUS(corrupt, parse(with(kEd, "x", change(kEd, "x", 5))));
  EXPECT_STATUS(corrupt, parse(with(kEd, "x", base64url_encode(Bytes(31, 1)))));
}

TEST(Jwk, RefusesEd25519PointsOfSmallOrder) {
  const auto point = [](int first, int middle, int last) {
    Bytes y(32, static_cast<std::uint8_t>(middle));
    y[0] = static_cast<std::uint8_t>(first);
    y[31] = static_cast<std::uint8_t>(last);
    return base64url_encode(y);
  };
  const json open = without(kEd, "d");
  for (const std::string& x :
       {point(0, 0, 0), point(1, 0, 0), point(1, 0, 0x80), point(0xec, 0xff, 0x7f),
        point(0xed, 0xff, 0x7f), point(0xee, 0xff, 0xff), point(0xff, 0xff, 0xff)}) {
    EXPECT_STATUS(corrupt, parse(with(open, "x", x)));
  }
  for (const char* hex : {"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                          "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"}) {
    EXPECT_STATUS(corrupt, parse(with(open, "x", base64url_encode(test::from_hex(hex)))));
  }
}

TEST(Jwk, RefusesUnsoundRsa) {
  const json key = rsa();
  for (const char* name : {"n", "d", "p", "q", "dp", "dq", "qi"}) {
    EXPECT_STATUS(corrupt, parse(with(key, name, change(key, name, 7))));
    EXPECT_STATUS(corrupt, parse(without(key, name)));
  }
  json open{{"kty", "RSA"}, {"n", key.at("n")}, {"e", "AQAB"}};
  EXPECT_NO_THROW(parse(open));
  for (const char* e : {"AQ", "Ag", "AAAB", "", "AQAC", "AAEAAQ", "AQAAAAAAAAAB"}) {
    EXPECT_STATUS(corrupt, parse(with(open, "e", e)));
  }
  Bytes n = base64url_decode(key.at("n").get<std::string>());
  EXPECT_STATUS(corrupt, parse(with(open, "n", base64url_encode(ByteView(n).first(128)))));
  EXPECT_STATUS(corrupt, parse(with(open, "n", base64url_encode(Bytes(1025, 0xff)))));
  Bytes even = n;
  even.back() &= 0xfe;
  EXPECT_STATUS(corrupt, parse(with(open, "n", base64url_encode(even))));
  Bytes padded = n;
  padded.insert(padded.begin(), 0);
  EXPECT_STATUS(corrupt, parse(with(open, "n", base64url_encode(padded))));
  EXPECT_STATUS(corrupt, parse(with(key, "oth", json::array())));
}

// What is secret in another type must not slip into the members that are published.
TEST(Jwk, RefusesMaterialOfOtherTypes) {
  EXPECT_STATUS(corrupt, parse(with(kEc, "k", "GawgguFyGrWKav7AX4VKUg")));
  EXPECT_STATUS(corrupt, parse(with(kOct, "d", "AAAA")));
  EXPECT_STATUS(corrupt, parse(with(kEd, "y", "AAAA")));
  EXPECT_STATUS(corrupt, parse(with(kEd, "p", "AAAA")));
}

TEST(Jwk, ErrorsNeverQuoteTheKey) {
  for (const json& bad : {with(kOct, "key_ops", "GawgguFyGrWKav7AX4VKUg"),
                          with(kOct, "k", "GawgguFyGrWKav7AX4VKUg!"), with(kEc, "x", "AAAA")}) {
    try {
      parse(bad);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("Gawgg"), std::string::npos);
      EXPECT_EQ(std::string(error.what()).find("870MB"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace ptsecure
