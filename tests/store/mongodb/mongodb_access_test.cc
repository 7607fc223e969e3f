// Passwords, roles and TLS.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "libptsecure/base/error.hpp"
#include "libptsecure/store/store.hpp"
#include "tests/store/directory/directory_harness.hpp"
#include "tests/store/mongod.hpp"

namespace ptsecure::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// A CA, a server certificate by it for 127.0.0.1, and a CA that has nothing to do with them.
void make_certificates(const std::string& folder) {
  const std::string script =
      "set -e; cd '" + folder +
      "'; exec >/dev/null 2>&1; "
      "ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
      "  -subj \"/CN=$1\" -keyout $1.key -out $1.pem; }; "
      "ca ca; ca stranger; "
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 "
      "  -keyout server.key -out server.csr; "
      "printf 'subjectAltName=IP:127.0.0.1' >ext; "
      "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
      "  -extfile ext -out server.crt; "
      "cat server.key server.crt >server.pem";
  if (std::system(script.c_str()) != 0) {  // NOLINT(cert-env33-c): our own script
    throw std::runtime_error("the openssl command can't make test certificates");
  }
}

// One server with both: TLS only, and users.
class MongodbAccessTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    make_certificates(folder_->path());
    server_ = new Mongod(
        Mongod::Kind::standalone,
        {"--auth", "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", file("server.pem")},
        "tls=true&tlsCAFile=" + file("ca.pem"));
    // The first user may be made without logging in.
    server_->command("admin", R"({"createUser":"root","pwd":"rootpass","roles":["root"]})");
    admin(
        {R"({"createUser":"writer","pwd":"p:ss/w@rd","roles":["readWrite"]})",
         R"({"createUser":"reader","pwd":"readerpass","roles":["read"]})",
         R"({"createUser":"other","pwd":"otherpass","roles":[{"role":"read","db":"elsewhere"}]})"});
  }
  static void TearDownTestSuite() {
    delete server_;
    delete folder_;
  }

  static std::string file(const std::string& name) { return (folder_->path() / name).string(); }

  static void admin(const std::vector<std::string>& commands) {
    for (const std::string& json : commands) {
      server_->command("models", json, "root:rootpass", "authSource=admin");
    }
  }

  // `user` is "name:password", `ca` a file of the folder.
  static std::shared_ptr<Store> open(const std::string& user, const std::string& ca = "ca.pem",
                                     std::chrono::milliseconds timeout = 3000ms) {
    StoreOptions options;
    options.connect_timeout = timeout;
    options.operation_timeout = timeout;
    const std::string at = user.empty() ? "" : user + "@";
    return open_store(
        "mongodb://" + at + server_->address() + "/models?tls=true&tlsCAFile=" + file(ca), options);
  }

  template <class Call>
  static void expect_error(Status status, const std::string& part, const Call& call) {
    const auto start = Clock::now();
    try {
      call();
      ADD_FAILURE() << "nothing was refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), status) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).find("pass"), std::string(error.what()).find("password"));
    }
    EXPECT_LT(Clock::now() - start, 2s);
  }

  static inline TempFolder* folder_ = nullptr;
  static inline Mongod* server_ = nullptr;
};

TEST_F(MongodbAccessTest, a_user_with_the_right_role_publishes_and_reads_over_tls) {
  const auto store = open("writer:p%3Ass%2Fw%40rd");
  store->ensure_created({});
  const Reservation reservation = store->reserve("digits", {});
  const Bytes model(5 * kSegmentSize + 3, 9);
  const auto writer = store->write_blob(reservation, "model", model.size(), {});
  for (std::uint64_t i = 0; i < 6; ++i) {
    writer->write(i,
                  ByteView(model).subspan(i * kSegmentSize,
                                          std::min(kSegmentSize, model.size() - i * kSegmentSize)));
  }
  writer->finish();
  store->commit(reservation, "m", {});
  EXPECT_EQ(store->display_uri(), "mongodb://" + server_->address() + "/models");

  const auto reader = open("reader:readerpass");
  Bytes read;
  const auto blob = reader->read_blob({"digits", reservation.version, "model"}, {});
  blob->read(0, 6, [&](std::uint64_t, ByteView b) { read.insert(read.end(), b.begin(), b.end()); },
             {});
  EXPECT_TRUE(read == model);
  expect_error(Status::permission_denied, "roles", [&] { reader->reserve("digits", {}); });
}

TEST_F(MongodbAccessTest, who_may_not_is_told_so_at_once) {
  expect_error(Status::permission_denied, "password",
               [] { open("writer:wrongpass")->newest("digits", {}); });
  expect_error(Status::permission_denied, "authSource",
               [] { open("nobody:nopass")->newest("digits", {}); });
  expect_error(Status::permission_denied, "roles",
               [] { open("other:otherpass")->newest("digits", {}); });
  expect_error(Status::permission_denied, "roles", [] { open("")->newest("digits", {}); });
}

TEST_F(MongodbAccessTest, a_server_that_is_not_trusted_is_refused_at_once) {
  expect_error(Status::unavailable, "TLS",
               [] { open("reader:readerpass", "stranger.pem")->newest("digits", {}); });
  expect_error(Status::unavailable, "TLS",
               [] { open("reader:readerpass", "missing.pem")->newest("digits", {}); });
}

TEST_F(MongodbAccessTest, a_stalled_tls_server_is_left_when_cancelled) {
  open("writer:p%3Ass%2Fw%40rd")->ensure_created({});
  const auto store = open("reader:readerpass", "ca.pem", 20000ms);
  store->id({});
  server_->stop_answering();
  for (const auto& handle : {store, open("reader:readerpass", "ca.pem", 20000ms)}) {
    const CancelToken token = CancelToken::make();
    std::thread canceller([&] {
      std::this_thread::sleep_for(200ms);
      token.cancel();
    });
    const auto start = Clock::now();
    Status status = Status::ok;
    try {
      handle->newest("digits", token);
    } catch (const Error& error) {
      status = error.status();
    }
    EXPECT_EQ(status, Status::cancelled);
    EXPECT_LT(Clock::now() - start, 10s) << "the limit is 20 s";
    canceller.join();
  }
  server_->answer_again();
  EXPECT_FALSE(store->id({}).empty());
}

}  // namespace
}  // namespace ptsecure::test
