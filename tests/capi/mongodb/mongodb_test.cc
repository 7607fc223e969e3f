// What the C ABI does over a MongoDB server that the core's own tests don't see: parts that lie in
// GridFS, and calls whose time runs out while the server doesn't answer.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "ptsecure/ptsecure.hpp"
#include "tests/store/mongod.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ptsecure::test::fresh_database;
using ptsecure::test::Mongod;
using ptsecure::test::shared_mongod;

// In base64: "Live long and prosper." as the compact JWE of RFC 7516 A.3, and its key.
constexpr const char* kJwe =
    "ZXlKaGJHY2lPaUpCTVRJNFMxY2lMQ0psYm1NaU9pSkJNVEk0UTBKRExVaFRNalUySW4wLjZLQjcwN2RNOVlUSWdIdE"
    "x2dGdXUThtS3dib0pXM29mOWxvY2l6a0RUSHpCQzJJbHJUMW9PUS5BeFk4REN0RGFHbHNiR2xqYjNSb1pRLktEbFR0"
    "WGNoaFpUR3VmTVltT1lHUzRIZmZ4UFNVcmZtcUNIWGFJOXdPR1kuVTBtX1ltak4wNERKdmNlRklDYkNWUQ==";
constexpr const char* kJwk = "eyJrdHkiOiJvY3QiLCJrIjoiR2F3Z2d1RnlHcldLYXY3QVg0VktVZyJ9";
constexpr const char* kSha256 = "db72b9416b642541db49327281f95910d8e6bb5e18fc9365fc7fb5839a8bc7e6";

fs::path new_folder() {
  std::string name = (fs::temp_directory_path() / "ptsecure-capi-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  return name;
}

class CapiMongodbTest : public testing::Test {
 protected:
  ~CapiMongodbTest() override { fs::remove_all(folder_); }

  // Puts a file of one chunk there; `base64` is what is in it, of `size` bytes.
  void put(const std::string& filename, int id, const std::string& base64, int size) const {
    const std::string number = std::to_string(id);
    server_.command(database_, R"({"insert":"fs.chunks","documents":[{"files_id":)" + number +
                                   R"(,"n":0,"data":{"$binary":{"base64":")" + base64 +
                                   R"(","subType":"00"}}}]})");
    server_.command(database_, R"({"insert":"fs.files","documents":[{"_id":)" + number +
                                   R"(,"filename":")" + filename + R"(","length":)" +
                                   std::to_string(size) +
                                   R"(,"chunkSize":261120,"uploadDate":{"$date":{"$numberLong":")" +
                                   number + R"("}}}]})");
  }
  pts::GridfsFile file(const std::string& name) const {
    pts::GridfsFile file;
    file.uri = server_.uri(database_);
    file.filename = name;
    return file;
  }

  Mongod& server_ = shared_mongod(Mongod::Kind::replica_set);
  const std::string database_ = fresh_database();
  const fs::path folder_ = new_folder();
  pts::Keyring keys_ = pts::Keyring::generate();
  pts::Store store_ = pts::Store::open((folder_ / "store").string());
  pts::PublishOptions opaque_ = [] {
    pts::PublishOptions options;
    options.format = "opaque";
    return options;
  }();
};

TEST_F(CapiMongodbTest, PublishesWhatLiesInGridfs) {
  put("m", 1, "aGVsbG8=", 5);  // "hello"
  const pts::Source source = pts::Source::gridfs(file("m"));
  EXPECT_EQ(store_.publish("m", source, keys_, opaque_), 1u);
  EXPECT_EQ(store_.fetch("m", keys_).decrypt().view(), "hello");
  // Every call finds the newest file of that name.
  put("m", 2, "d29ybGRz", 6);  // "worlds"
  EXPECT_EQ(store_.publish("m", source, keys_, opaque_), 2u);
  EXPECT_EQ(store_.fetch("m", keys_).decrypt().view(), "worlds");
  EXPECT_THROW(store_.publish("m", pts::Source::gridfs(file("none")), keys_, opaque_),
               pts::NotFound);
}

TEST_F(CapiMongodbTest, ImportsAndNeedsTheDigestForAKeyFromThere) {
  put("m.jwe", 1, kJwe, 196);
  put("m.jwk", 2, kJwk, 42);
  const pts::Source source = pts::Source::gridfs(file("m.jwe"));
  const pts::Source key = pts::Source::gridfs(file("m.jwk"));
  pts::ImportOptions options;
  options.jwk_source = &key;
  try {
    store_.import_jwe("m", source, keys_, options, opaque_);
    FAIL();
  } catch (const pts::Error& error) {
    EXPECT_EQ(error.status(), PTS_INVALID_ARGUMENT);
    EXPECT_NE(std::string(error.what()).find("GridFS"), std::string::npos);
  }
  options.sha256 = kSha256;
  EXPECT_EQ(store_.import_jwe("m", source, keys_, options, opaque_), 1u);
  EXPECT_EQ(store_.fetch("m", keys_).decrypt().view(), "Live long and prosper.");
  // A key that its owner gives needs none, wherever the JWE lies.
  options = {};
  options.jwk = R"({"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"})";
  EXPECT_EQ(store_.import_jwe("m", source, keys_, options, opaque_), 2u);
}

TEST_F(CapiMongodbTest, CallsEndInTimeWhileTheServerStalls) {
  Mongod server(Mongod::Kind::replica_set);
  const pts::Store store = pts::Store::open(server.uri("models"));
  store.publish("m", pts::Source::bytes("abc", 3), keys_, opaque_);
  pts::ApiKeyOptions grant;
  grant.owner = "somebody";
  grant.models = {"*"};
  const pts::NewApiKey key = pts::ApiKeyManager(store, keys_).create(grant);
  const pts::ApiKeys checker = pts::ApiKeys::open(store, keys_);
  const pts::Package package = store.fetch("m", keys_);
  pts::Call call;
  call.timeout = 300ms;
  const auto ends_in_time = [](const char* what, const auto& work) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(work(), PTS_TIMEOUT) << what;
    EXPECT_LT(std::chrono::steady_clock::now() - start, 1300ms) << what;
  };
  const auto status_of = [](const auto& work) {
    return [work]() -> pts_status {
      try {
        work();
      } catch (const pts::Error& error) {
        return error.status();
      }
      return PTS_OK;
    };
  };
  server.stop_answering();
  // A key that is shown for the first time has to be read.
  ends_in_time("check", [&] { return checker.check(key.key.view(), {}, call).status; });
  ends_in_time("list", status_of([&] { store.list({}, 0, call); }));
  ends_in_time("show", status_of([&] { store.show("m", keys_, call); }));
  ends_in_time("fetch", status_of([&] { store.fetch("m", keys_, {}, call); }));
  ends_in_time("decrypt", status_of([&] { package.decrypt({}, call); }));
  ends_in_time("set_alias", status_of([&] { store.set_alias("m", "a", 1, keys_, {}, call); }));
  ends_in_time("verify", status_of([&] { store.verify("m", keys_, {}, {}, call); }));
  ends_in_time("verify_log", status_of([&] { store.verify_log(keys_, {}, {}, call); }));
  // Its reservation can't be given up either: a second at most goes into trying.
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(store.publish("m", pts::Source::bytes("abc", 3), keys_, opaque_, call),
               pts::Timeout);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
  ends_in_time("apikeys", status_of([&] { pts::ApiKeys::open(store, keys_, 1min, 500ms, call); }));
  server.answer_again();
  EXPECT_NO_THROW(store.fetch("m", keys_, {}, call));
}

}  // namespace
