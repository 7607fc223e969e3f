// What only the MongoDB store has: its URIs, how rows are written and found, what libmongoc would
// print, files that a stock driver reads.
#include <gtest/gtest.h>
#include <mongoc/mongoc.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "libptsecure/store/mongodb/client.hpp"
#include "tests/store/mongodb/mongodb_fixture.hpp"

namespace ptsecure::test {
namespace {

using namespace std::chrono_literals;

// --- URIs
// -----------------------------------------------------------------------------------------

TEST(MongodbUriTest, what_is_wrong_is_said_without_secrets) {
  const std::vector<std::string> bad = {
      "mongodb://127.0.0.1:27017",
      "mongodb://127.0.0.1:27017/",
      "mongodb://127.0.0.1:27017/?replicaSet=rs0",
      "mongodb://",
      "mongodb:///models",
      "mongodb://host:notaport/models",
      "mongodb://host:99999999/models",
      "mongodb://host/mod els",
      "mongodb://host/a.b",
      "mongodb://host/a$b",
      "mongodb://host/admin",
      "mongodb://host/local",
      "mongodb://host/" + std::string(64, 'd'),
      "mongodb://alice:s3cret/pass@host/models",
      "mongodb://alice:s3cret@pass@host/models",
      "mongodb://alice:s3cret%zzpass@host/models",
      "mongodb://alice:s3cretpass@host",
      "mongodb://alice:s3cretpass@host/"
      "models?tls=true&tlsInsecure=true&tlsAllowInvalidHostnames=true",
      "mongodb://alice:s3cretpass@host/models?directConnection=true,",
      "mongodb+srv://alice:s3cretpass@host:27017/models",
      "mongodb+srv://alice:s3cretpass@nodots/models",
      std::string("mongodb://host/mod\0els", 22),
  };
  for (const std::string& uri : bad) {
    SCOPED_TRACE(uri);
    const Outcome outcome = outcome_of([&] { open_store(uri, {}); });
    EXPECT_EQ(outcome.status, Status::invalid_argument) << outcome.message;
    EXPECT_TRUE(mentions(outcome.message, "/database")) << outcome.message;
    EXPECT_FALSE(mentions(outcome.message, "s3cret")) << outcome.message;
    EXPECT_FALSE(mentions(outcome.message, "pass@")) << outcome.message;
  }
}

TEST(MongodbUriTest, display_uri_holds_no_credentials_and_opening_needs_no_server) {
  const auto store = open_store(
      "mongodb://alice:s3cret@a.invalid:27018,b.invalid/models?replicaSet=rs0&authSource=admin"
      "&tlsCertificateKeyFilePassword=hunter2",
      {});
  EXPECT_EQ(store->display_uri(), "mongodb://a.invalid:27018,b.invalid:27017/models");
  EXPECT_EQ(open_store("mongodb+srv://alice:s3cret@cluster.example.com/models", {})->display_uri(),
            "mongodb+srv://cluster.example.com/models");
}

TEST(MongodbUriTest, an_absent_server_is_named_in_time) {
  const std::string address = "127.0.0.1:" + std::to_string(free_port());
  const auto store =
      open_store("mongodb://alice:s3cret@" + address + "/models", limits(1000ms, 60000ms));
  for (int round = 0; round < 2; ++round) {
    const Outcome outcome = outcome_of([&] { store->newest("digits", {}); });
    EXPECT_EQ(outcome.status, Status::unavailable);
    EXPECT_TRUE(
        mentions(outcome.message, "no MongoDB server answered at " + address + " within 1 s"))
        << outcome.message;
    EXPECT_FALSE(mentions(outcome.message, "s3cret"));
    EXPECT_LT(outcome.time, 20s) << "operations have 60 s, finding a server 1 s";
    EXPECT_GT(outcome.time, 500ms);
  }
  const Outcome nowhere = outcome_of(
      [&] { open_store("mongodb://no-such-host.invalid/models", limits(500ms, 500ms))->id({}); });
  EXPECT_EQ(nowhere.status, Status::unavailable);
  EXPECT_TRUE(mentions(nowhere.message, "no-such-host.invalid:27017")) << nowhere.message;
}

TEST(MongodbUriTest, waiting_for_an_absent_server_is_cancelled) {
  const std::string address = "127.0.0.1:" + std::to_string(free_port());
  const auto store = open_store("mongodb://" + address + "/models", limits(30000ms, 60000ms));
  const CancelToken token = CancelToken::make();
  const CancelLater later(token, 300ms);
  const Outcome outcome = outcome_of([&] { store->newest("digits", token); });
  EXPECT_EQ(outcome.status, Status::cancelled);
  EXPECT_LT(outcome.time, 10s) << "finding a server has 30 s";
}

// --- how it is done
// -------------------------------------------------------------------------------

TEST_F(MongodbStoreTest, texts_that_look_like_operators_are_texts) {
  const auto store = open();
  const std::string nasty = R"({"$ne":""})";
  store->append_record({"log"}, 1, nasty, {});
  EXPECT_EQ(outcome_of([&] { store->append_record({"log"}, 1, "$where", {}); }).status,
            Status::conflict);
  store->put_wraps("key", 1, nasty, {});
  EXPECT_EQ(store->get_wraps("key", 1, {}), nasty);
  const Reservation reservation = store->reserve("digits", {});
  store->commit(reservation, "$manifest", {});
  store->commit(reservation, "$manifest", {});
  EXPECT_EQ(store->newest("digits", {})->manifest, "$manifest");
}

TEST_F(MongodbStoreTest, ten_thousand_versions_cost_no_more_than_ten) {
  const auto store = open();
  publish(*store, "digits");
  publish(*store, "zebra");
  for (int part = 0; part < 10; ++part) {
    std::string documents;
    for (int i = 0; i < 1000; ++i) {
      const std::string n = std::to_string(2 + part * 1000 + i);
      documents += std::string(i == 0 ? "" : ",") + R"({"_id":"digits/)" + n +
                   R"(","name":"digits","version":{"$numberLong":")" + n + R"("},"state":")" +
                   (i % 10 == 0 ? "dead" : "committed") + R"(","token":"t","manifest":"m"})";
    }
    command(R"({"insert":"ptsecure.versions","documents":[)" + documents + "]}");
  }
  command(R"({"profile":2})");
  EXPECT_EQ(store->newest("digits", {})->version, 10001u);
  EXPECT_TRUE(store->find("digits", 5000, {}));
  EXPECT_EQ(store->versions("digits", 9000, 5, {}).size(), 5u);
  const auto models = store->models("", 10, {});
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].newest.version, 10001u);
  EXPECT_EQ(store->reserve("digits", {}).version, 10002u);
  command(R"({"profile":0})");
  // The counter was behind on purpose: catching up is what the last call did.
  const auto slow = nlohmann::json::parse(command(
      R"({"find":"system.profile","filter":{"ns":{"$ne":")" + database() +
      R"(.system.profile"},"$or":[{"docsExamined":{"$gt":12}},{"keysExamined":{"$gt":24}}]}})"));
  EXPECT_TRUE(slow["cursor"]["firstBatch"].empty()) << slow.dump(1).substr(0, 3000);
}

TEST_F(MongodbStoreTest, read_preference_moves_only_blobs) {
  auto store = open();
  const Bytes model = pattern(3 * kSegmentSize, 1);
  publish(*store, "digits", model);
  store = open_store(uri("readPreference=secondaryPreferred&readConcernLevel=local&w=1"), {});
  EXPECT_TRUE(store->newest("digits", {}));
  EXPECT_TRUE(read_all(*store, {"digits", 1, "model"}) == model);
  // Nobody but the primary is there.
  store = open_store(uri("replicaSet=rs0&readPreference=secondary"), limits(1000ms, 1000ms));
  EXPECT_TRUE(store->newest("digits", {}));
  const Outcome outcome = outcome_of([&] { read_all(*store, {"digits", 1, "model"}); });
  EXPECT_EQ(outcome.status, Status::unavailable);
  EXPECT_TRUE(mentions(outcome.message, "readPreference")) << outcome.message;
}

TEST_F(MongodbStoreTest, rows_are_written_by_a_majority_and_read_from_one) {
  const auto store = open();
  const auto counters = [&](const char* operation) {
    return nlohmann::json::parse(
        command(R"({"serverStatus":1})"))["opWriteConcernCounters"][operation];
  };
  const nlohmann::json updates = counters("update");
  const nlohmann::json inserts = counters("insert");
  command(R"({"profile":2})");
  publish(*store, "digits", pattern(3 * kSegmentSize, 1));
  store->append_record({"log"}, 1, "r", {});
  store->put_wraps("key", 1, "{}", {});
  store->last_record({"log"}, ReadConcern::linearizable, {});
  read_all(*store, {"digits", 1, "model"});
  command(R"({"profile":0})");
  EXPECT_GE(counters("update")["wmajority"], updates["wmajority"].get<int>() + 7);
  EXPECT_EQ(counters("update")["wnum"], updates["wnum"]);
  EXPECT_EQ(counters("update")["none"], updates["none"]);
  // Chunks alone are acknowledged by the primary only, and counted once they are durable.
  EXPECT_EQ(counters("insert")["wnum"].at("1"), inserts["wnum"].value("1", 0) + 3);
  EXPECT_EQ(counters("insert")["none"], inserts["none"]);
  const auto count = [&](const std::string& query) {
    return nlohmann::json::parse(
               command(R"({"count":"system.profile","query":)" + query + "}"))["n"]
        .get<int>();
  };
  // Nobody else can be elected here, so that the primary need not prove that it is one.
  EXPECT_EQ(count(R"({"command.readConcern.level":"linearizable"})"), 0);
  EXPECT_GE(count(R"({"command.readConcern.level":"majority"})"), 4);
  EXPECT_EQ(
      count(R"({"op":"query","command.readConcern.level":{"$nin":["majority","linearizable"]}})"),
      0);
}

TEST(Hello, says_whether_another_server_could_be_primary) {
  const struct {
    const char* what;
    const char* hello;
    bool sole;
  } cases[] = {
      {"a set of one", R"({"isWritablePrimary":true,"setName":"a","hosts":["h:1"]})", true},
      {"passive members",
       R"({"isWritablePrimary":true,"setName":"a","hosts":["h:1"],"passives":["h:2","h:3"]})",
       true},
      {"an arbiter",
       R"({"isWritablePrimary":true,"setName":"a","hosts":["h:1"],"arbiters":["h:2"]})", true},
      {"a set of three", R"({"isWritablePrimary":true,"setName":"a","hosts":["h:1","h:2","h:3"]})",
       false},
      {"two and a passive one",
       R"({"isWritablePrimary":true,"setName":"a","hosts":["h:1","h:2"],"passives":["h:3"]})",
       false},
      {"an answer to the older greeting",
       R"({"ismaster":true,"helloOk":true,"setName":"a","hosts":["h:1"]})", true},
      {"no primary by the older greeting", R"({"ismaster":false,"setName":"a","hosts":["h:1"]})",
       false},
      {"no primary", R"({"isWritablePrimary":false,"setName":"a","hosts":["h:1"]})", false},
      {"ill-typed", R"({"isWritablePrimary":1,"setName":"a","hosts":["h:1"]})", false},
      {"no hosts", R"({"isWritablePrimary":true,"setName":"a"})", false},
      {"hosts of another type", R"({"isWritablePrimary":true,"setName":"a","hosts":"h:1"})", false},
      {"no set", R"({"isWritablePrimary":true,"hosts":["h:1"]})", false},
      {"a router", R"({"isWritablePrimary":true,"msg":"isdbgrid"})", false},
      {"nothing", "{}", false},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.what);
    bson_error_t error;
    bson_t* hello =
        bson_new_from_json(reinterpret_cast<const std::uint8_t*>(test.hello), -1, &error);
    ASSERT_NE(hello, nullptr) << error.message;
    EXPECT_EQ(mongodb::is_sole_candidate(mongodb::View(hello)), test.sole);
    bson_destroy(hello);
  }
}

TEST_F(MongodbStoreTest, who_reads_more_at_once_gets_shorter_replies) {
  const auto store = open();
  const Bytes model = pattern(16 * kSegmentSize, 1);
  publish(*store, "digits", model);
  publish(*store, "letters", model);
  const auto digits = store->read_blob({"digits", 1, "model"}, {});
  const auto letters = store->read_blob({"letters", 1, "model"}, {});
  command(R"({"profile":2})");
  std::vector<std::uint64_t> order;
  const auto nothing = [](std::uint64_t, ByteView) {};
  digits->read(0, 16,
               [&](std::uint64_t n, ByteView) {
                 order.push_back(n);
                 if (n != 0) return;
                 digits->read(
                     0, 1, [&](std::uint64_t, ByteView) { letters->read(0, 8, nothing, {}); }, {});
               },
               {});
  command(R"({"profile":0})");
  EXPECT_EQ(order.size(), 16U);
  const auto replies = nlohmann::json::parse(command(
      R"({"find":"system.profile","filter":{"op":"query","command.singleBatch":true},"sort":{"ts":1}})"));
  std::vector<int> segments;
  for (const auto& reply : replies["cursor"]["firstBatch"]) {
    segments.push_back(reply["command"]["limit"].get<int>() - 1);
  }
  // Alone seven; the third reader of the store, of another file, a third of fourteen (more where
  // the server takes milliseconds to answer); at the end alone again.
  ASSERT_EQ(segments.size(), 6U);
  const int shared = segments[2];
  EXPECT_GE(shared, 4);
  EXPECT_LT(shared, 7);
  EXPECT_EQ(segments, (std::vector<int>{7, 1, shared, 8 - shared, 7, 2}));
}

// --- a guest in somebody's process
// ----------------------------------------------------------------

std::mutex host_log_mutex;
std::vector<std::string> host_log;  // what a handler of the host's was given

void host_handler(mongoc_log_level_t, const char*, const char* message, void*) {
  const std::lock_guard lock(host_log_mutex);
  host_log.emplace_back(message);
}

TEST(MongodbUriTest, options_that_would_be_ignored_are_refused) {
  for (const char* option : {"tsl=true", "ssll=true", "proxyHost=10.0.0.1"}) {
    const Outcome out =
        outcome_of([&] { open_store(std::string("mongodb://127.0.0.1/x?") + option, {}); });
    EXPECT_EQ(out.status, Status::invalid_argument) << option;
    EXPECT_TRUE(mentions(out.message, "no option")) << out.message;
  }
  EXPECT_NO_THROW(open_store("mongodb://127.0.0.1/x?tls=true&compressors=zlib&w=majority", {}));
}

TEST_F(MongodbStoreTest, nothing_is_printed_and_the_sink_is_told) {
  std::mutex mutex;
  std::vector<std::string> told;
  StoreOptions options = limits(600ms, 2000ms);
  options.log = [&](LogLevel, std::string_view text) {
    const std::lock_guard lock(mutex);
    told.emplace_back(text);
  };
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  {
    const auto store = open_store(uri("compressors=none_such"), options);
    store->ensure_created({});
    EXPECT_EQ(outcome_of([&] {
                open_store(server().uri(database()).replace(10, 0, "nobody:s3cret@"), options)
                    ->newest("digits", {});
              }).status,
              Status::permission_denied);
    outcome_of([&] {
      open_store("mongodb://127.0.0.1:" + std::to_string(free_port()) + "/x", options)->id({});
    });
    outcome_of([&] { open_store("mongodb://u:p@ss:w/rd@h/x", options); });
    const Stall stall(server());
    outcome_of([&] { store->newest("digits", {}); });
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_FALSE(told.empty());
  for (const std::string& line : told) EXPECT_FALSE(mentions(line, "s3cret")) << line;

  // What the host itself does with libmongoc is printed as ever.
  testing::internal::CaptureStdout();
  mongoc_log(MONGOC_LOG_LEVEL_INFO, "host", "the host's own message");
  EXPECT_TRUE(mentions(testing::internal::GetCapturedStdout(), "the host's own message"));
}

TEST_F(MongodbStoreTest, a_handler_of_the_host_stays) {
  mongoc_log_set_handler(host_handler, nullptr);
  open()->newest("digits", {});
  outcome_of([&] {
    open_store(server().uri(database()).replace(10, 0, "nobody:s3cret@"), limits(600ms, 600ms))
        ->newest("digits", {});
  });
  mongoc_log(MONGOC_LOG_LEVEL_INFO, "host", "still here");
  mongoc_log_set_handler(mongoc_log_default_handler, nullptr);
  const std::lock_guard lock(host_log_mutex);
  ASSERT_FALSE(host_log.empty());
  EXPECT_EQ(host_log.back(), "still here");
}

// --- GridFS
// ---------------------------------------------------------------------------------------

TEST_F(MongodbStoreTest, a_stock_driver_reads_the_files) {
  const auto store = open();
  publish(*store, "digits", pattern(3 * kSegmentSize + 17, 1));
  publish(*store, "empty", Bytes());
  const char* python = std::getenv("PTSECURE_PYTHON");
  ASSERT_NE(python, nullptr) << "PTSECURE_PYTHON must name a Python that has pymongo";
  const std::string line = "'" + std::string(python) +
                           "' '" PTSECURE_SOURCE_DIR "/tests/store/gridfs_interop.py' '" + uri() +
                           "'";
  EXPECT_EQ(std::system(line.c_str()), 0);  // NOLINT(cert-env33-c): our own script
}

}  // namespace
}  // namespace ptsecure::test
