// What stock tools write is opened here and the other way round. PTSECURE_PYTHON is a Python that
// has tink, joserfc and jwcrypto.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/jwk.hpp"
#include "libptsecure/crypto/jwk_impl.hpp"
#include "libptsecure/crypto/jws.hpp"
#include "libptsecure/crypto/segment_aead.hpp"
#include "tests/crypto/expect_status.hpp"

namespace ptsecure {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Interop : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "ptsecure-interop-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Runs tests/crypto/<script> <command> <folder>.
  void python(const std::string& script, const std::string& command) {
    const char* interpreter = std::getenv("PTSECURE_PYTHON");
    ASSERT_NE(interpreter, nullptr)
        << "PTSECURE_PYTHON must name a Python that has tink, joserfc and jwcrypto";
    const std::string line = std::string("'") + interpreter + "' '" + PTSECURE_SOURCE_DIR +
                             "/tests/crypto/" + script + "' " + command + " '" + folder_.string() +
                             "'";
    ASSERT_EQ(std::system(line.c_str()), 0) << line;
  }

  void write(const std::string& name, ByteView bytes) {
    std::ofstream out(folder_ / name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(out.good());
  }

  Bytes read(const std::string& name) {
    std::ifstream in(folder_ / name, std::ios::binary);
    EXPECT_TRUE(in.good()) << name;
    return {std::istreambuf_iterator<char>(in), {}};
  }

  json read_json(const std::string& name) { return json::parse(as_text(read(name))); }

  fs::path folder_;
};

std::string text(const json& object, const char* name) {
  return object.at(name);
}

TEST_F(Interop, TinkOpensOursAndWeOpenTinks) {
  constexpr std::uint64_t kFirst = kSegmentSize - kHeaderSize - kTagSize;
  constexpr std::uint64_t kNext = kSegmentSize - kTagSize;
  json cases = json::array();
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{5000}, kFirst - 1, kFirst, kFirst + 1,
        kFirst + kNext - 1, kFirst + kNext, kFirst + kNext + 1, kFirst + 2 * kNext + 4711}) {
    const std::string name = std::to_string(size);
    const std::string aad = "ptsecure/1 model-" + name + " 7";
    const SecretBytes dek = SecretBytes::random(32);
    Bytes plain(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < plain.size(); ++i) {
      plain[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
    }
    SegmentSealer sealer(dek.view(), as_bytes(aad), size);
    Bytes stored(static_cast<std::size_t>(stored_size(size)));
    for (std::uint64_t i = 0; i < segment_count(size); ++i) {
      const SegmentExtent e = segment_extent(i, size);
      sealer.seal(
          i, ByteView(plain).subspan(static_cast<std::size_t>(e.plain_offset), e.plain_size),
          ByteSpan(stored).subspan(static_cast<std::size_t>(e.stored_offset), e.stored_size));
    }
    write(name + ".plain", plain);
    write(name + ".ours", stored);
    cases.push_back({{"name", name}, {"dek", hex(dek.view())}, {"associated_data", aad}});
  }
  write("cases.json", as_bytes(cases.dump()));
  python("tink_interop.py", "open");
  python("tink_interop.py", "seal");
  for (const json& each : cases) {
    const std::string name = text(each, "name");
    SCOPED_TRACE(name);
    const Bytes stored = read(name + ".theirs");
    const Bytes plain = read(name + ".plain");
    ASSERT_EQ(stored.size(), stored_size(plain.size()));
    const SegmentOpener opener(test::from_hex(text(each, "dek")),
                               as_bytes(text(each, "associated_data")),
                               ByteView(stored).first(kHeaderSize), stored.size());
    Bytes out(plain.size());
    for (std::uint64_t i = 0; i < opener.segment_count(); ++i) {
      const SegmentExtent e = segment_extent(i, plain.size());
      opener.open(
          i, ByteView(stored).subspan(static_cast<std::size_t>(e.stored_offset), e.stored_size),
          ByteSpan(out).subspan(static_cast<std::size_t>(e.plain_offset), e.plain_size));
    }
    EXPECT_EQ(out, plain);
  }
}

TEST_F(Interop, StockJoseReadsOurs) {
  json ours{{"jwe", json::array()}, {"jws", json::array()}, {"password", json::array()}};
  std::vector<Jwk> keys{Jwk::generate_p256(),  generate_ec("P-384"),  generate_ec("P-521"),
                        Jwk::generate_oct(16), Jwk::generate_oct(24), Jwk::generate_oct(32)};
  for (const char* alg : {"ECDH-ES+A128KW", "ECDH-ES+A192KW"}) {
    keys.push_back(Jwk::generate_p256().with_members({{"alg", alg}}));
  }
  for (const auto& [size, alg] :
       {std::pair{16u, "A128GCMKW"}, {24u, "A192GCMKW"}, {32u, "A256GCMKW"}}) {
    keys.push_back(Jwk::generate_oct(size).with_members({{"alg", alg}}));
  }
  std::ifstream vectors(std::string(PTSECURE_SOURCE_DIR) + "/tests/crypto/vectors/rfc_jose.json");
  const json file = json::parse(vectors);
  for (const json& each : file.at("jwk")) {
    if (text(each, "name") == "RFC 7517 A.2 RSA") {
      keys.push_back(Jwk::parse(each.at("key").dump()).with_members({{"alg", nullptr}}));
    }
  }
  ASSERT_EQ(keys.back().type(), KeyType::rsa);
  for (const Jwk& key : keys) {
    for (const std::string_view plain : {"", "plaintext of some length"}) {
      ours["jwe"].push_back({{"text", jwe_encrypt(as_bytes(plain), key, "jwk+json")},
                             {"key", json::parse(std::string_view(key.private_json()))},
                             {"plaintext", base64url_encode(as_bytes(plain))}});
    }
  }
  ours["password"].push_back(
      {{"text", jwe_encrypt_password(as_bytes("by passphrase"), "pass \xc3\xa9", 10000)},
       {"password", "pass \xc3\xa9"},
       {"plaintext", base64url_encode(as_bytes("by passphrase"))}});
  for (const Jwk& key : {Jwk::generate_ed25519(), Jwk::generate_p256()}) {
    ours["jws"].push_back({{"text", jws_sign(as_bytes("payload"), key, "test+jws")},
                           {"key", json::parse(key.public_json())},
                           {"payload", base64url_encode(as_bytes("payload"))}});
  }
  write("ours.json", as_bytes(ours.dump()));
  python("jose_interop.py", "check");
}

TEST_F(Interop, WeReadStockJose) {
  python("jose_interop.py", "make");
  const json theirs = read_json("theirs.json");
  ASSERT_GE(theirs.at("jwe").size(), 250u);
  for (const json& each : theirs.at("jwe")) {
    SCOPED_TRACE(text(each, "by") + " " + text(each, "alg") + " " + text(each, "enc"));
    const Jwk key = Jwk::parse(each.at("key").dump());
    const Bytes plain = base64url_decode(text(each, "plaintext"));
    EXPECT_EQ(as_text(jwe_decrypt(text(each, "text"), key, JwePolicy::foreign).view()),
              as_text(plain));
    const std::string alg = text(each, "alg");
    const bool foreign_only =
        alg == "dir" || alg == "RSA-OAEP" || alg == "ECDH-ES" || each.at("zip");
    const Status status =
        test::status_of([&] { jwe_decrypt(text(each, "text"), key, JwePolicy::key_document); });
    EXPECT_EQ(status, foreign_only ? Status::unsupported : Status::ok);
  }
  ASSERT_GE(theirs.at("password").size(), 36u);
  for (const json& each : theirs.at("password")) {
    SCOPED_TRACE(text(each, "by") + " " + text(each, "alg") + " " + text(each, "enc"));
    const SecretBytes plain = jwe_decrypt_password(text(each, "text"), text(each, "password"));
    EXPECT_EQ(base64url_encode(plain.view()), text(each, "plaintext"));
  }
  for (const json& each : theirs.at("json")) {
    for (const json& jwk : each.at("keys")) {
      const Jwk key = Jwk::parse(jwk.dump());
      const SecretBytes plain = jwe_decrypt(text(each, "text"), key, JwePolicy::foreign);
      EXPECT_EQ(base64url_encode(plain.view()), text(each, "plaintext"));
      EXPECT_STATUS(corrupt, jwe_decrypt(text(each, "text"), key, JwePolicy::key_document));
    }
  }
  ASSERT_EQ(theirs.at("jws").size(), 4u);
  for (const json& each : theirs.at("jws")) {
    const Jwk key = Jwk::parse(each.at("key").dump());
    EXPECT_EQ(base64url_encode(jws_verify(text(each, "text"), key, "test+jws")),
              text(each, "payload"));
  }
}

}  // namespace
}  // namespace ptsecure
