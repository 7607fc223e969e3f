#include "libptsecure/crypto/jwe.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jose.hpp"
#include "libptsecure/crypto/jwe_internal.hpp"
#include "libptsecure/crypto/jwk.hpp"
#include "tests/crypto/expect_status.hpp"
#include "tests/crypto/jwe_fixture.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using namespace jwe_test;  // NOLINT(google-build-using-namespace)

std::string raw_deflate(std::string_view plain) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string message_of(const std::string& jwe, const Jwk& key,
                       JwePolicy policy = JwePolicy::foreign) {
  try {
    jwe_decrypt(jwe, key, policy);
    return "no error";
  } catch (const Error& error) {
    return std::string(status_name(error.status())) + ": " + error.what();
  }
}

TEST_F(Jwe, EncryptsToEveryKindOfKey) {
  const std::map<std::string, Jwk> keys{
      {"A128KW", Jwk::generate_oct(16)},
      {"A192KW", Jwk::generate_oct(24)},
      {"A256KW", oct_},
      {"A256GCMKW", oct_.with_members({{"alg", "A256GCMKW"}})},
      {"ECDH-ES+A256KW", ec_},
      {"ECDH-ES+A128KW", generate_ec("P-521").with_members({{"alg", "ECDH-ES+A128KW"}})}};
  for (const auto& [alg, key] : keys) {
    SCOPED_TRACE(alg);
    const Jwk to = key.type() == KeyType::oct ? key : key.public_part();
    const std::string jwe = jwe_encrypt(as_bytes(kPlain), to, "jwk+json");
    const JweHeader header = jwe_header(jwe);
    EXPECT_EQ(header.alg, alg);
    EXPECT_EQ(header.enc, "A256GCM");
    EXPECT_EQ(header.kid, key.kid());
    EXPECT_EQ(header.cty, "jwk+json");
    for (const JwePolicy policy : {JwePolicy::key_document, JwePolicy::foreign}) {
      EXPECT_EQ(as_text(jwe_decrypt(jwe, key, policy).view()), kPlain);
    }
    EXPECT_NE(jwe, jwe_encrypt(as_bytes(kPlain), to, "jwk+json"));
    EXPECT_FALSE(header_of(parts_of(jwe)).contains("zip"));
  }
  const std::string empty = jwe_encrypt({}, ec_.with_members({{"kid", nullptr}}), "");
  EXPECT_TRUE(jwe_decrypt(empty, ec_, JwePolicy::key_document).empty());
  EXPECT_EQ(header_of(parts_of(empty)).size(), 3u);  // alg, enc, epk
}

TEST_F(Jwe, KeysThatCannotBeEncryptedTo) {
  for (const Jwk& key :
       {Jwk::generate_ed25519(), Jwk::generate_oct(20), Jwk::generate_oct(64),
        ec_.with_members({{"use", "sig"}}), ec_.with_members({{"alg", "ES256"}}),
        ec_.with_members({{"alg", "ECDH-ES"}}), oct_.with_members({{"alg", "dir"}}),
        oct_.with_members({{"alg", "A128KW"}}), oct_.with_members({{"key_ops", {"sign"}}})}) {
    EXPECT_STATUS(no_key, jwe_encrypt(as_bytes(kPlain), key, ""));
  }
}

TEST_F(Jwe, NoIvOrKeyIsUsedTwice) {
  std::set<std::string> seen;
  for (int i = 0; i < 500; ++i) {
    const Parts parts = parts_of(jwe_encrypt(as_bytes(kPlain), oct_, ""));
    for (const std::size_t part : {1, 2, 3, 4}) EXPECT_TRUE(seen.insert(parts[part]).second);
  }
}

TEST_F(Jwe, EveryChangedCharacterIsFound) {
  for (const Jwk& key : {oct_, ec_}) {
    const std::string jwe = jwe_encrypt(as_bytes("x"), key, "");
    for (std::size_t i = 0; i < jwe.size(); ++i) {
      std::string changed = jwe;
      changed[i] = changed[i] == 'A' ? 'B' : 'A';
      EXPECT_THROW(jwe_decrypt(changed, key, JwePolicy::foreign), Error) << i;
      EXPECT_THROW(jwe_decrypt(jwe.substr(0, i), key, JwePolicy::foreign), Error) << i;
    }
  }
}

TEST_F(Jwe, OneErrorForEveryWayOfNotOpening) {
  const Jwk other = Jwk::generate_oct(32);
  const std::string jwe = encrypt_kw(oct_, json::object());
  const std::string wrong_key = message_of(jwe, other);
  EXPECT_TRUE(wrong_key.starts_with("corrupt: ")) << wrong_key;
  const auto change = [&](std::size_t part) {
    Parts parts = parts_of(jwe);
    Bytes bytes = base64url_decode(parts[part]);
    bytes[0] ^= 1;
    parts[part] = base64url_encode(bytes);
    return join(parts);
  };
  for (const std::size_t part : {1, 2, 3, 4}) {
    EXPECT_EQ(message_of(change(part), oct_), wrong_key) << part;
    EXPECT_EQ(message_of(change(part), oct_, JwePolicy::key_document), wrong_key) << part;
  }
  Parts longer = parts_of(jwe);
  longer[1] = base64url_encode(Bytes(48, 1));
  EXPECT_EQ(message_of(join(longer), oct_), wrong_key);
}

// A CBC ciphertext with every padding fault, and a tag that does or doesn't hold.
TEST_F(Jwe, BadPaddingLooksLikeABadTag) {
  const Bytes mac_key(16, 1), enc_key(16, 2), iv(16, 3);
  Bytes cek = mac_key;
  cek.insert(cek.end(), enc_key.begin(), enc_key.end());
  const Jwk key = Jwk::from_secret(cek);
  const std::string header = b64(R"({"alg":"dir","enc":"A128CBC-HS256"})");
  const auto make = [&](const Bytes& padded, bool good_tag) {
    const EvpCipherCtx ctx(EVP_CIPHER_CTX_new());
    EVP_EncryptInit_ex2(ctx.get(), EVP_aes_128_cbc(), enc_key.data(), iv.data(), nullptr);
    EVP_CIPHER_CTX_set_padding(ctx.get(), 0);
    Bytes ciphertext(padded.size());
    int size = 0;
    EVP_EncryptUpdate(ctx.get(), ciphertext.data(), &size, padded.data(),
                      static_cast<int>(padded.size()));
    Bytes length(8);
    length[6] = static_cast<std::uint8_t>(header.size() * 8 >> 8);
    length[7] = static_cast<std::uint8_t>(header.size() * 8);
    Bytes tag = jose::hmac("SHA256", mac_key, {as_bytes(header), iv, ciphertext, length});
    tag.resize(16);
    if (!good_tag) tag[15] ^= 1;
    return join(
        {header, "", base64url_encode(iv), base64url_encode(ciphertext), base64url_encode(tag)});
  };
  Bytes good(16, 15);
  good[0] = 'x';
  EXPECT_EQ(as_text(jwe_decrypt(make(good, true), key, JwePolicy::foreign).view()), "x");
  const std::string bad_tag = message_of(make(good, false), key);
  EXPECT_TRUE(bad_tag.starts_with("corrupt: "));
  for (const int pad : {0, 17, 255}) {
    EXPECT_EQ(message_of(make(Bytes(16, static_cast<std::uint8_t>(pad)), true), key), bad_tag);
    EXPECT_EQ(message_of(make(Bytes(16, static_cast<std::uint8_t>(pad)), false), key), bad_tag);
  }
  Bytes uneven = good;
  uneven[5] = 14;
  EXPECT_EQ(message_of(make(uneven, true), key), bad_tag);
}

TEST_F(Jwe, AlgorithmsOffTheListAreRefused) {
  const std::string jwe = encrypt_kw(oct_, json::object());
  for (const char* alg : {"none", "RSA1_5", "RSA-OAEP-384", "RSA-OAEP-512", "A256CBC", "A512KW",
                          "a256kw", "ECDH-1PU", "HS256", "PBES2-HS256+A128KW", "HPKE-0"}) {
    Parts parts = parts_of(jwe);
    json header = header_of(parts);
    header["alg"] = alg;
    parts[0] = b64(header.dump());
    EXPECT_STATUS(unsupported, jwe_decrypt(join(parts), oct_, JwePolicy::foreign));
    EXPECT_STATUS(unsupported, jwe_decrypt(join(parts), oct_, JwePolicy::key_document));
  }
  for (const char* enc : {"none", "A256CBC", "A256CTR", "C20P", "XC20P", "a256gcm", "A256KW"}) {
    Parts parts = parts_of(jwe);
    json header = header_of(parts);
    header["enc"] = enc;
    parts[0] = b64(header.dump());
    EXPECT_STATUS(unsupported, jwe_decrypt(join(parts), oct_, JwePolicy::foreign));
  }
  for (const char* name : {"alg", "enc"}) {
    Parts parts = parts_of(jwe);
    json header = header_of(parts);
    header.erase(name);
    parts[0] = b64(header.dump());
    EXPECT_STATUS(corrupt, jwe_decrypt(join(parts), oct_, JwePolicy::foreign));
  }
}

TEST_F(Jwe, KeyDocumentsAreNarrower) {
  const SecretBytes cek = SecretBytes::random(32);
  const Jwk direct = Jwk::from_secret(cek.view());
  const std::string dir = encrypt_under(R"({"alg":"dir","enc":"A256GCM"})", cek.view(), {}, kPlain);
  EXPECT_EQ(as_text(jwe_decrypt(dir, direct, JwePolicy::foreign).view()), kPlain);
  EXPECT_STATUS(unsupported, jwe_decrypt(dir, direct, JwePolicy::key_document));

  const std::string zipped = encrypt_kw(oct_, {{"zip", "DEF"}}, raw_deflate(kPlain));
  EXPECT_EQ(as_text(jwe_decrypt(zipped, oct_, JwePolicy::foreign).view()), kPlain);
  EXPECT_STATUS(unsupported, jwe_decrypt(zipped, oct_, JwePolicy::key_document));

  const std::string by_passphrase = jwe_encrypt_password(as_bytes(kPlain), "secret", 1000);
  for (const JwePolicy policy : {JwePolicy::foreign, JwePolicy::key_document}) {
    EXPECT_STATUS(unsupported, jwe_decrypt(by_passphrase, oct_, policy));
  }
  const std::string large = jwe_encrypt(Bytes(60000, 1), oct_, "");
  EXPECT_EQ(jwe_decrypt(large, oct_, JwePolicy::foreign).size(), 60000u);
  EXPECT_STATUS(limit_exceeded, jwe_decrypt(large, oct_, JwePolicy::key_document));
}

TEST_F(Jwe, KeysOfAnotherKindAreRefused) {
  const std::string to_oct = jwe_encrypt(as_bytes(kPlain), oct_, "");
  const std::string to_ec = jwe_encrypt(as_bytes(kPlain), ec_, "");
  EXPECT_STATUS(no_key, jwe_decrypt(to_oct, ec_, JwePolicy::foreign));
  EXPECT_STATUS(no_key, jwe_decrypt(to_ec, oct_, JwePolicy::foreign));
  EXPECT_STATUS(no_key, jwe_decrypt(to_ec, ec_.public_part(), JwePolicy::foreign));
  EXPECT_STATUS(no_key, jwe_decrypt(to_ec, Jwk::generate_ed25519(), JwePolicy::foreign));
  EXPECT_STATUS(no_key, jwe_decrypt(to_oct, Jwk::generate_oct(16), JwePolicy::foreign));
  EXPECT_STATUS(no_key, jwe_decrypt(to_ec, ec_.with_members({{"use", "sig"}}), JwePolicy::foreign));
  EXPECT_STATUS(no_key,
                jwe_decrypt(to_ec, ec_.with_members({{"alg", "ECDH-ES"}}), JwePolicy::foreign));
  EXPECT_STATUS(no_key,
                jwe_decrypt(to_oct, oct_.with_members({{"alg", "A256GCMKW"}}), JwePolicy::foreign));
  EXPECT_STATUS(no_key, jwe_decrypt(to_oct, oct_.with_members({{"key_ops", {"wrapKey"}}}),
                                    JwePolicy::foreign));
  EXPECT_NO_THROW(
      jwe_decrypt(to_oct, oct_.with_members({{"key_ops", {"unwrapKey"}}}), JwePolicy::foreign));
  EXPECT_STATUS(corrupt, jwe_decrypt(to_ec, generate_ec("P-384"), JwePolicy::foreign));
}

TEST_F(Jwe, HeadersThatChangeTheRulesAreRefused) {
  const json values{{"crit", {"zip"}},
                    {"b64", true},
                    {"jku", "https://attacker.example/keys"},
                    {"jwk", json::parse(ec_.public_json())},
                    {"x5u", "https://attacker.example/chain"},
                    {"x5c", {"MIIB"}},
                    {"ALG", "dir"},
                    {"Enc", "A128GCM"},
                    {"Kid", "x"},
                    {"P2C", 1},
                    {"kid", 5},
                    {"kid", ""}};
  for (const auto& [name, value] : values.items()) {
    SCOPED_TRACE(name + value.dump());
    EXPECT_STATUS(corrupt,
                  jwe_decrypt(encrypt_kw(oct_, {{name, value}}), oct_, JwePolicy::foreign));
  }
  EXPECT_NO_THROW(jwe_decrypt(encrypt_kw(oct_, {{"kid", "../../etc/passwd"}, {"other", {1}}}), oct_,
                              JwePolicy::foreign));
  const std::string duplicate = R"({"alg":"A256KW","enc":"A256GCM","alg":"dir"})";
  EXPECT_STATUS(corrupt, jwe_decrypt(encrypt_under(duplicate, Bytes(32, 1), Bytes(40, 1), ""), oct_,
                                     JwePolicy::foreign));
}

TEST_F(Jwe, EmptyAndMissizedPartsAreRefused) {
  const std::string gcm = encrypt_kw(oct_, json::object());
  for (const std::size_t part : {0, 1, 2, 4}) {
    Parts parts = parts_of(gcm);
    parts[part].clear();
    EXPECT_STATUS(corrupt, jwe_decrypt(join(parts), oct_, JwePolicy::foreign));
  }
  for (const auto& [part, sizes] :
       {std::pair{2, std::vector<std::size_t>{8, 11, 13, 16}}, {4, {4, 12, 15, 17, 32}}}) {
    for (const std::size_t size : sizes) {
      Parts parts = parts_of(gcm);
      Bytes bytes = base64url_decode(parts[static_cast<std::size_t>(part)]);
      bytes.resize(size);
      parts[static_cast<std::size_t>(part)] = base64url_encode(bytes);
      EXPECT_STATUS(corrupt, jwe_decrypt(join(parts), oct_, JwePolicy::foreign));
    }
  }
  // CBC: no ciphertext at all, and one that is no whole number of blocks.
  const Jwk key = Jwk::from_secret(Bytes(32, 5));
  const std::string header = b64(R"({"alg":"dir","enc":"A128CBC-HS256"})");
  const std::string iv = base64url_encode(Bytes(16, 1));
  const std::string tag = base64url_encode(Bytes(16, 1));
  for (const std::size_t size : {0u, 1u, 15u, 17u}) {
    EXPECT_STATUS(corrupt, jwe_decrypt(join({header, "", iv, base64url_encode(Bytes(size)), tag}),
                                       key, JwePolicy::foreign));
  }
  // An encrypted key where the algorithm has none.
  EXPECT_STATUS(corrupt, jwe_decrypt(join({header, "AAAA", iv, iv, tag}), key, JwePolicy::foreign));
}

TEST_F(Jwe, WrongShapesAreRefused) {
  const std::string jwe = encrypt_kw(oct_, json::object());
  for (const std::string& wrong :
       {std::string(), std::string("...."), std::string("....."), jwe + ".", jwe + ".AAAA",
        '.' + jwe, jwe + "=", jwe + "\n", " " + jwe, std::string(2000000, '.'), std::string("null"),
        std::string("{}"), std::string("{"), std::string("[]")}) {
    EXPECT_STATUS(corrupt, jwe_decrypt(wrong, oct_, JwePolicy::foreign));
  }
  EXPECT_STATUS(limit_exceeded,
                jwe_decrypt(std::string(kJweMaxSize + 1, 'A'), oct_, JwePolicy::foreign));
}

TEST_F(Jwe, HostileEphemeralKeys) {
  const std::string jwe = jwe_encrypt(as_bytes(kPlain), ec_, "");
  const Parts original = parts_of(jwe);
  const auto with_epk = [&](const json& epk) {
    Parts parts = original;
    json header = header_of(parts);
    header["epk"] = epk;
    parts[0] = b64(header.dump());
    return join(parts);
  };
  const json good = header_of(original).at("epk");
  const std::string zero = base64url_encode(Bytes(32, 0));
  const auto set = [&](const char* name, const json& value) {
    json epk = good;
    epk[name] = value;
    return epk;
  };
  // Off the curve, at infinity, wrong sizes, other curve, private, no key at all.
  std::vector<json> refused{set("x", zero),
                            set("y", zero),
                            set("x", ""),
                            set("y", "AAAA"),
                            set("d", zero),
                            set("x", base64url_encode(Bytes(32, 0xff))),
                            nullptr,
                            "x",
                            json::array(),
                            json::object(),
                            json::parse(generate_ec("P-384").public_json())};
  json infinity = set("x", zero);
  infinity["y"] = zero;
  refused.push_back(infinity);
  for (const json& epk : refused) {
    const Status status =
        test::status_of([&] { jwe_decrypt(with_epk(epk), ec_, JwePolicy::foreign); });
    EXPECT_TRUE(status == Status::corrupt || status == Status::unsupported) << epk;
  }
  EXPECT_STATUS(unsupported, jwe_decrypt(with_epk(set("crv", "P-192")), ec_, JwePolicy::foreign));
  const json other = json::parse(Jwk::generate_p256().public_json());
  EXPECT_STATUS(corrupt, jwe_decrypt(with_epk(other), ec_, JwePolicy::foreign));
  Parts none = original;
  json header = header_of(none);
  header.erase("epk");
  none[0] = b64(header.dump());
  EXPECT_STATUS(corrupt, jwe_decrypt(join(none), ec_, JwePolicy::foreign));
  for (const char* name : {"apu", "apv"}) {
    for (const json& value : {json(1), json("*"), json(base64url_encode(Bytes(2000, 1)))}) {
      json changed = header_of(original);
      changed[name] = value;
      Parts parts = original;
      parts[0] = b64(changed.dump());
      EXPECT_STATUS(corrupt, jwe_decrypt(join(parts), ec_, JwePolicy::foreign));
    }
  }
}

TEST_F(Jwe, AllZeroContentKeysAreRefused) {
  // A wrapped key that unwraps to zeros: what failed unwrapping has left behind elsewhere.
  ordered_json header{{"alg", "A256KW"}, {"enc", "A256GCM"}};
  const Bytes zero(32, 0);
  const Bytes wrapped = jwe::wrap_cek(*jwe::find_key_alg("A256KW"), zero, oct_, header);
  EXPECT_STATUS(corrupt, jwe_decrypt(encrypt_under(header.dump(), zero, wrapped, kPlain), oct_,
                                     JwePolicy::foreign));
  // A wrong key with content under a zero CEK.
  const Jwk other = Jwk::generate_oct(32);
  EXPECT_STATUS(corrupt, jwe_decrypt(encrypt_under(header.dump(), zero, wrapped, kPlain), other,
                                     JwePolicy::foreign));
}

TEST_F(Jwe, CompressionBombsAreRefused) {
  const auto zipped = [&](std::string_view compressed) {
    return encrypt_kw(oct_, {{"zip", "DEF"}}, compressed);
  };
  const std::string bomb = raw_deflate(std::string(50000000, '\0'));
  ASSERT_LT(bomb.size(), 60000u);
  EXPECT_STATUS(limit_exceeded, jwe_decrypt(zipped(bomb), oct_, JwePolicy::foreign));
  EXPECT_STATUS(limit_exceeded, jwe_decrypt(zipped(raw_deflate(std::string(250 * 1024 + 1, 'x'))),
                                            oct_, JwePolicy::foreign));
  EXPECT_EQ(jwe_decrypt(zipped(raw_deflate(std::string(250 * 1024, 'x'))), oct_, JwePolicy::foreign)
                .size(),
            250u * 1024);
  // Ten times the compressed size, where that is more.
  std::string text(2000000, '\0');
  std::uint32_t x = 1;
  for (char& c : text) {
    x = x * 1664525 + 1013904223;
    c = static_cast<char>(x >> 28);
  }
  EXPECT_EQ(jwe_decrypt(zipped(raw_deflate(text)), oct_, JwePolicy::foreign).size(), text.size());
  const std::string good = raw_deflate(kPlain);
  EXPECT_STATUS(corrupt,
                jwe_decrypt(zipped(good.substr(0, good.size() - 1)), oct_, JwePolicy::foreign));
  EXPECT_STATUS(corrupt, jwe_decrypt(zipped(good + "x"), oct_, JwePolicy::foreign));
  EXPECT_STATUS(corrupt, jwe_decrypt(zipped("\xff\xff\xff"), oct_, JwePolicy::foreign));
  EXPECT_STATUS(corrupt, jwe_decrypt(zipped(""), oct_, JwePolicy::foreign));
  for (const json& zip : {json("GZ"), json("def"), json("none")}) {
    EXPECT_STATUS(unsupported,
                  jwe_decrypt(encrypt_kw(oct_, {{"zip", zip}}), oct_, JwePolicy::foreign));
  }
}

TEST_F(Jwe, UnwrapsTheKeyAlone) {
  for (const Jwk& key : {oct_, ec_}) {
    const Parts parts = parts_of(jwe_encrypt(as_bytes(kPlain), key, ""));
    const SecretBytes cek = jwe_unwrap_key(parts[0], parts[1], key, JwePolicy::key_document);
    const auto plain = jwe::decrypt_content(*jwe::find_content_alg("A256GCM"), cek.view(),
                                            base64url_decode(parts[2]), as_bytes(parts[0]),
                                            base64url_decode(parts[3]), base64url_decode(parts[4]));
    ASSERT_TRUE(plain.has_value());
    EXPECT_EQ(as_text(plain->view()), kPlain);
    EXPECT_STATUS(corrupt, jwe_unwrap_key(parts[0], "", key, JwePolicy::key_document));
    EXPECT_STATUS(corrupt, jwe_unwrap_key("", parts[1], key, JwePolicy::key_document));
    EXPECT_STATUS(corrupt, jwe_unwrap_key(parts[0], base64url_encode(Bytes(40, 1)), key,
                                          JwePolicy::key_document));
  }
}

}  // namespace
}  // namespace ptsecure
