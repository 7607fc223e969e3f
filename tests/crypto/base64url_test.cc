#include "libptsecure/crypto/base64url.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/strict_json.hpp"
#include "tests/crypto/expect_status.hpp"

namespace ptsecure {
namespace {

using test::from_hex;

TEST(Base64url, KnownValues) {
  // RFC 4648 section 10, in the URL alphabet and without padding.
  const std::pair<const char*, const char*> known[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : known) {
    EXPECT_EQ(base64url_encode(as_bytes(plain)), encoded);
    EXPECT_EQ(as_text(base64url_decode(encoded)), plain);
    EXPECT_EQ(as_text(base64url_decode_secret(encoded).view()), plain);
  }
  EXPECT_EQ(base64url_encode(from_hex("fbff")), "-_8");
}

TEST(Base64url, EveryByteAndLengthRoundTrips) {
  Bytes bytes;
  for (int i = 0; i < 600; ++i) {
    const std::string text = base64url_encode(bytes);
    EXPECT_EQ(text.size(), (bytes.size() * 8 + 5) / 6);
    EXPECT_EQ(base64url_decoded_size(text.size()), bytes.size());
    EXPECT_EQ(base64url_decode(text), bytes);
    EXPECT_EQ(base64url_encode_secret(bytes), SecretString(text));
    bytes.push_back(static_cast<std::uint8_t>(i * 7));
  }
}

TEST(Base64url, AcceptsExactlyOneTextPerValue) {
  std::size_t accepted = 0;
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      try {
        EXPECT_EQ(base64url_encode(base64url_decode(text)), text);
        ++accepted;
      } catch (const Error& error) {
        EXPECT_EQ(error.status(), Status::corrupt);
      }
    }
  }
  EXPECT_EQ(accepted, 256u);
  for (const std::string_view wrong :
       {"A", "AAAAA", "Zg==", "Zm8=", "Zm9v\n", " Zm9v", "Zm 9", "Zm+v", "Zm/v", "Zh", "Zm9",
        "Z.9v", "Zm9v====", "\xff\xff\xff\xff"}) {
    EXPECT_STATUS(corrupt, base64url_decode(wrong));
    EXPECT_STATUS(corrupt, base64url_decode_secret(wrong));
  }
}

TEST(Digest, Sha256) {
  const char* abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(hex(sha256(as_bytes("abc"))), abc);
  EXPECT_EQ(hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 digest;
  for (int round = 0; round < 2; ++round) {
    digest.update(as_bytes("a"));
    digest.update({});
    digest.update(as_bytes("bc"));
    EXPECT_EQ(hex(digest.finish()), abc);
  }
}

TEST(Digest, HkdfRfc5869) {
  const Bytes ikm(22, 0x0b);
  const SecretBytes okm = hkdf_sha256(ikm, from_hex("000102030405060708090a0b0c"),
                                      from_hex("f0f1f2f3f4f5f6f7f8f9"), 42);
  EXPECT_EQ(hex(okm.view()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(hex(hkdf_sha256(ikm, {}, {}, 42).view()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
  EXPECT_STATUS(invalid_argument, hkdf_sha256({}, {}, {}, 32));
  EXPECT_STATUS(invalid_argument, hkdf_sha256(ikm, {}, {}, 8161));
}

TEST(Digest, AsPeopleWriteOne) {
  const Sha256Digest digest = sha256(as_bytes("abc"));
  const std::string digits = hex(digest);
  const std::string text = base64url_encode(digest);
  EXPECT_EQ(parse_digest(digits, "pin"), digest);
  EXPECT_EQ(parse_digest(text, "pin"), digest);
  EXPECT_EQ(digest_from_base64url(text), digest);
  EXPECT_EQ(digest_from_base64url(digits), std::nullopt);
  for (const std::string& bad :
       {std::string(), digits + "0", digits.substr(1), std::string(64, 'g'), text.substr(1),
        text + "A", text + "=", std::string(43, '='), std::string(41, 'A')}) {
    EXPECT_EQ(digest_from_base64url(bad), std::nullopt) << bad;
    try {
      parse_digest(bad, "pin");
      ADD_FAILURE() << "accepted: " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::invalid_argument);
      EXPECT_TRUE(std::string(error.what()).starts_with("pin must be a SHA-256")) << error.what();
    }
  }
}

TEST(Random, HexIsNewEachTime) {
  const std::string id = random_hex(16);
  EXPECT_EQ(parse_hex(id).value().size(), 16U);
  EXPECT_EQ(id, lower_case(id));
  EXPECT_NE(id, random_hex(16));
}

TEST(Digest, EqualInConstantTime) {
  EXPECT_TRUE(equal_constant_time(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("ab")));
  EXPECT_TRUE(equal_constant_time({}, {}));
}

TEST(StrictJson, AcceptsPlainJson) {
  const auto json = parse_strict_json(R"( {"a":[1,-2,3.5,true,null],"b":{"a":"A\ud83d\ude00"}} )");
  EXPECT_EQ(json["a"][1], -2);
  EXPECT_EQ(json["b"]["a"], "A\xf0\x9f\x98\x80");
}

TEST(StrictJson, Refuses) {
  for (const std::string_view text : {"",
                                      " ",
                                      "{",
                                      "}",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":1,\"\\u0061\":2}",
                                      "[{\"x\":{\"y\":1,\"z\":1,\"y\":1}}]",
                                      "{} x",
                                      "{}{}",
                                      "1e999",
                                      "[1,]",
                                      "{\"a\":1,}",
                                      "\"\xff\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\\ud800\"",
                                      "\xef\xbb\xbf{}",
                                      "// x\n{}",
                                      "'a'",
                                      "NaN",
                                      "01",
                                      "\"a\nb\"",
                                      "nul",
                                      "[1 2]"}) {
    EXPECT_STATUS(corrupt, parse_strict_json(text));
  }
  EXPECT_STATUS(corrupt, parse_strict_json(std::string_view("{}\0", 3)));
}

TEST(StrictJson, BoundsDepthWithoutRecursion) {
  const std::string at_limit = std::string(32, '[') + std::string(32, ']');
  EXPECT_NO_THROW(parse_strict_json(at_limit));
  EXPECT_STATUS(corrupt, parse_strict_json('[' + at_limit + ']'));
  EXPECT_STATUS(corrupt, parse_strict_json(std::string(1000000, '[')));
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_STATUS(corrupt, parse_strict_json(objects));
  EXPECT_STATUS(corrupt, parse_strict_json("[[]]", 1));
}

TEST(StrictJson, ErrorsQuoteNothing) {
  try {
    parse_strict_json(R"({"password":"hunter2" oops})");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("hunter2"), std::string::npos);
    EXPECT_EQ(std::string(error.what()).find("oops"), std::string::npos);
  }
}

}  // namespace
}  // namespace ptsecure
