// What only the MongoDB store has: servers that are absent, stalled, restarted or step down; damage
// that only GridFS can have; forks; what libmongoc would print.
#include <gtest/gtest.h>
#include <mongoc/mongoc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "libptsecure/error.hpp"
#include "libptsecure/store/store.hpp"
#include "tests/store/mongod.hpp"

namespace ptsecure::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Bytes pattern(std::size_t size, std::uint32_t seed) {
  Bytes bytes(size);
  std::uint32_t state = seed * 2654435761u + 1;
  for (std::uint8_t& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

ByteView block_of(const Bytes& bytes, std::uint64_t index) {
  const std::size_t begin = static_cast<std::size_t>(index) * kBlockSize;
  return ByteView(bytes).subspan(begin, std::min(kBlockSize, bytes.size() - begin));
}

void write_all(Store& store, const Reservation& reservation, const std::string& role,
               const Bytes& bytes) {
  const auto writer = store.write_blob(reservation, role, bytes.size(), {});
  for (std::uint64_t i = 0; i < block_count(bytes.size()); ++i)
    writer->write(i, block_of(bytes, i));
  writer->finish();
}

Bytes read_all(Store& store, const BlobId& id, const CancelToken& cancel = {}) {
  const auto reader = store.read_blob(id, cancel);
  Bytes bytes;
  reader->read(
      0, block_count(reader->size()),
      [&](std::uint64_t, ByteView block) { bytes.insert(bytes.end(), block.begin(), block.end()); },
      cancel);
  return bytes;
}

std::uint64_t publish(Store& store, const std::string& name, const Bytes& model = pattern(9, 1)) {
  const Reservation reservation = store.reserve(name, {});
  write_all(store, reservation, "model", model);
  store.commit(reservation, "manifest of " + std::to_string(reservation.version), {});
  return reservation.version;
}

struct Outcome {
  Status status = Status::ok;
  std::string message;
  std::chrono::milliseconds time{};
};

template <class Call>
Outcome outcome_of(const Call& call) {
  Outcome out;
  const auto start = Clock::now();
  try {
    call();
  } catch (const Error& error) {
    out.status = error.status();
    out.message = error.what();
  }
  out.time = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  return out;
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

StoreOptions limits(std::chrono::milliseconds connect, std::chrono::milliseconds operation) {
  StoreOptions options;
  options.connect_timeout = connect;
  options.operation_timeout = operation;
  return options;
}

// Stops the server for the life of this object.
class Stall {
 public:
  explicit Stall(Mongod& server) : server_(server) { server_.stop_answering(); }
  ~Stall() { server_.answer_again(); }
  Stall(const Stall&) = delete;
  Stall& operator=(const Stall&) = delete;

 private:
  Mongod& server_;
};

// Cancels `token` after `delay`.
class CancelLater {
 public:
  CancelLater(const CancelToken& token, std::chrono::milliseconds delay)
      : thread_([token, delay] {
          std::this_thread::sleep_for(delay);
          token.cancel();
        }) {}
  ~CancelLater() { thread_.join(); }
  CancelLater(const CancelLater&) = delete;
  CancelLater& operator=(const CancelLater&) = delete;

 private:
  std::thread thread_;
};

class MongodbStoreTest : public testing::Test {
 protected:
  Mongod& server() { return shared_mongod(Mongod::Kind::replica_set); }
  const std::string& database() const { return database_; }
  std::string uri(const std::string& options = {}) { return server().uri(database_, options); }
  std::shared_ptr<Store> open(const StoreOptions& options = {}) {
    auto store = open_store(uri(), options);
    store->ensure_created({});
    return store;
  }
  std::string command(const std::string& json) { return server().command(database_, json); }
  void TearDown() override { command(R"({"dropDatabase":1})"); }

 private:
  std::string database_ = fresh_database();
};

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
    EXPECT_LT(outcome.time, 2500ms);
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
  EXPECT_LT(outcome.time, 1300ms);
}

// --- servers in trouble
// ---------------------------------------------------------------------------

TEST_F(MongodbStoreTest, a_stalled_server_is_left_when_cancelled) {
  const auto store = open();
  publish(*store, "digits", pattern(3 * kBlockSize, 1));
  const auto reader = store->read_blob({"digits", 1, "model"}, {});
  const Stall stall(server());
  const auto cancelled = [&](const char* what,
                             const std::function<void(const CancelToken&)>& call) {
    SCOPED_TRACE(what);
    const CancelToken token = CancelToken::make();
    const CancelLater later(token, 200ms);
    const Outcome outcome = outcome_of([&] { call(token); });
    EXPECT_EQ(outcome.status, Status::cancelled) << outcome.message;
    EXPECT_LT(outcome.time, 1200ms);
  };
  cancelled("a row", [&](const CancelToken& token) { store->newest("digits", token); });
  cancelled("a write", [&](const CancelToken& token) { store->reserve("digits", token); });
  cancelled("blocks", [&](const CancelToken& token) {
    reader->read(0, 3, [](std::uint64_t, ByteView) {}, token);
  });
  cancelled("a new connection", [&](const CancelToken& token) {
    open_store(uri(), limits(20000ms, 20000ms))->newest("digits", token);
  });
}

TEST_F(MongodbStoreTest, a_stalled_server_runs_into_the_time_limit) {
  const auto store = open(limits(1000ms, 1000ms));
  publish(*store, "digits");
  {
    const Stall stall(server());
    const Outcome stalled = outcome_of([&] { store->newest("digits", {}); });
    EXPECT_EQ(stalled.status, Status::timeout) << stalled.message;
    EXPECT_TRUE(mentions(stalled.message, server().address())) << stalled.message;
    EXPECT_LT(stalled.time, 3000ms);
    const Outcome unreachable =
        outcome_of([&] { open_store(uri(), limits(1000ms, 1000ms))->newest("digits", {}); });
    EXPECT_EQ(unreachable.status, Status::unavailable) << unreachable.message;
    EXPECT_LT(unreachable.time, 4000ms);
  }
  EXPECT_TRUE(store->newest("digits", {}));
}

TEST_F(MongodbStoreTest, a_step_down_in_the_middle_of_publishing_is_survived) {
  const auto store = open(limits(20000ms, 60000ms));
  const Bytes model = pattern(6 * kBlockSize + 77, 3);
  std::atomic<bool> done{false};
  std::thread operator_([&] {
    while (!done) {
      std::this_thread::sleep_for(150ms);
      if (done) break;
      try {
        server().command("admin", R"({"replSetStepDown":1,"force":true})");
      } catch (const std::exception&) {  // not primary just now
      }
      std::this_thread::sleep_for(1500ms);
    }
  });
  std::vector<std::uint64_t> versions;
  const auto until = Clock::now() + 8s;
  std::string failure;
  try {
    while (Clock::now() < until) {
      versions.push_back(publish(*store, "digits", model));
      store->append_record({"log"}, versions.size(), "r" + std::to_string(versions.size()), {});
    }
  } catch (const Error& error) {
    failure = error.what();
  }
  done = true;
  operator_.join();
  EXPECT_EQ(failure, "");
  EXPECT_GE(versions.size(), 2u);
  EXPECT_TRUE(std::is_sorted(versions.begin(), versions.end()));
  for (const std::uint64_t version : versions) {
    EXPECT_TRUE(read_all(*store, {"digits", version, "model"}) == model);
  }
  EXPECT_EQ(store->records({"log"}, 1, 100000, ReadConcern::linearizable, {}).size(),
            versions.size());
}

TEST(MongodbRestartTest, what_was_acknowledged_survives_a_crash_of_the_server) {
  for (const auto kind : {Mongod::Kind::replica_set, Mongod::Kind::standalone}) {
    Mongod server(kind);
    const auto store = open_store(server.uri("models"), limits(20000ms, 30000ms));
    store->ensure_created({});
    const Bytes model = pattern(5 * kBlockSize, 2);
    std::uint64_t version = 0;
    for (int round = 1; round <= 2; ++round) {
      version = publish(*store, "digits", model);
      store->append_record({"log"}, static_cast<std::uint64_t>(round), "record", {});
      server.kill();
      // The same handle finds the server again, in the middle of whatever it does.
      Outcome found;
      std::thread reader([&] {
        found = outcome_of([&] {
          EXPECT_EQ(store->newest("digits", {})->version, version);
          EXPECT_TRUE(read_all(*store, {"digits", version, "model"}) == model);
          EXPECT_EQ(store->last_record({"log"}, ReadConcern::linearizable, {})->sequence,
                    static_cast<std::uint64_t>(round));
        });
      });
      std::this_thread::sleep_for(300ms);
      server.start_again();
      reader.join();
      EXPECT_EQ(found.status, Status::ok) << found.message;
    }
    EXPECT_EQ(publish(*store, "digits"), version + 1);
  }
}

TEST_F(MongodbStoreTest, a_forked_child_makes_its_own_connections) {
  const auto store = open();
  const Bytes model = pattern(2 * kBlockSize, 4);
  publish(*store, "digits", model);
  const auto reader = store->read_blob({"digits", 1, "model"}, {});
  for (int round = 0; round < 3; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      int code = 1;
      try {
        Bytes bytes;
        reader->read(
            0, 2, [&](std::uint64_t, ByteView b) { bytes.insert(bytes.end(), b.begin(), b.end()); },
            {});
        store->append_record({"child", std::to_string(::getpid())}, 1, "r", {});
        code = bytes == model && store->newest("digits", {}) ? 0 : 2;
      } catch (const std::exception&) {
      }
      ::_exit(code);
    }
    EXPECT_TRUE(store->newest("digits", {}));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(read_all(*store, {"digits", 1, "model"}) == model);
  }
  EXPECT_EQ(store->chains({"child"}, {}).size(), 3u);
}

// --- damage
// ---------------------------------------------------------------------------------------

class MongodbDamageTest : public MongodbStoreTest {
 protected:
  void SetUp() override {
    store_ = open();
    publish(*store_, "digits", pattern(4 * kBlockSize + 100, 1));
    publish(*store_, "other", pattern(4 * kBlockSize + 100, 2));
  }

  void chunks(const std::string& filter, const std::string& change) {
    command(R"({"update":"ptsecure.payloads.chunks","updates":[{"q":)" + filter + R"(,"u":)" +
            change + "}]}");
  }
  void file(const std::string& change) {
    command(R"({"update":"ptsecure.payloads.files","updates":[{"q":{"_id":"digits/1/model"},"u":)" +
            change + "}]}");
  }
  void drop_index() {
    command(R"({"dropIndexes":"ptsecure.payloads.chunks","index":"files_id_1_n_1"})");
  }
  void insert_chunk(int n, const std::string& base64) {
    command(
        R"({"insert":"ptsecure.payloads.chunks","documents":[{"files_id":"digits/1/model","n":)" +
        std::to_string(n) + R"(,"data":{"$binary":{"base64":")" + base64 +
        R"(","subType":"00"}}}]})");
  }
  // All the ways to read it agree that it is damaged.
  void expect_corrupt(const std::string& part) {
    for (const std::uint64_t run : {1, 2, 5}) {
      const Outcome outcome = outcome_of([&] {
        const auto reader = store_->read_blob({"digits", 1, "model"}, {});
        for (std::uint64_t first = 0; first < 5; first += run) {
          reader->read(first, std::min<std::uint64_t>(5, first + run),
                       [](std::uint64_t, ByteView) {}, {});
        }
      });
      EXPECT_EQ(outcome.status, Status::corrupt) << run << " " << outcome.message;
      EXPECT_TRUE(mentions(outcome.message, part)) << run << " " << outcome.message;
    }
  }

  std::shared_ptr<Store> store_;
};

TEST_F(MongodbDamageTest, a_chunk_behind_the_end) {
  insert_chunk(5, "AAAA");
  expect_corrupt("block 5 of digits/1/model is behind the end");
}

TEST_F(MongodbDamageTest, a_duplicated_chunk) {
  drop_index();
  insert_chunk(2, "AAAA");
  expect_corrupt("block 2 of digits/1/model");
}

TEST_F(MongodbDamageTest, a_chunk_that_is_there_twice) {
  drop_index();
  chunks(R"({"files_id":"digits/1/model","n":3})", R"({"$set":{"n":2}})");
  expect_corrupt("block 2 of digits/1/model is there twice");
}

TEST_F(MongodbDamageTest, a_duplicated_last_chunk) {
  drop_index();
  insert_chunk(4, "AAAA");
  expect_corrupt("block 4 of digits/1/model");
}

TEST_F(MongodbDamageTest, a_missing_chunk) {
  command(
      R"({"delete":"ptsecure.payloads.chunks","deletes":[{"q":{"files_id":"digits/1/model","n":3},"limit":1}]})");
  expect_corrupt("block 3 of digits/1/model is missing");
}

TEST_F(MongodbDamageTest, a_chunk_moved_to_another_place) {
  chunks(R"({"files_id":"digits/1/model","n":3})", R"({"$set":{"n":9}})");
  expect_corrupt("block 3 of digits/1/model is missing");
}

TEST_F(MongodbDamageTest, a_chunk_with_a_number_of_another_type) {
  chunks(R"({"files_id":"digits/1/model","n":1})", R"({"$set":{"n":1.0}})");
  expect_corrupt("no number");
}

TEST_F(MongodbDamageTest, a_chunk_without_bytes) {
  chunks(R"({"files_id":"digits/1/model","n":1})", R"({"$unset":{"data":1}})");
  expect_corrupt("no bytes");
  chunks(R"({"files_id":"digits/1/model","n":1})", R"({"$set":{"data":"text"}})");
  expect_corrupt("no bytes");
}

TEST_F(MongodbDamageTest, a_resized_chunk) {
  for (const std::size_t size : {std::size_t{0}, kBlockSize - 1, kBlockSize + 1, 15 * kBlockSize}) {
    server().edit_chunk(database(), "digits/1/model", 2, [&](Bytes& b) { b.resize(size); });
    expect_corrupt("block 2 of digits/1/model has " + std::to_string(size) + " bytes");
  }
}

TEST_F(MongodbDamageTest, a_wrong_length_or_chunk_size) {
  file(R"({"$set":{"length":{"$numberLong":"4194305"}}})");
  expect_corrupt("block 4 of digits/1/model has 100 bytes instead of 1");
  for (const char* length : {"-1", "9223372036854775807"}) {
    file(R"({"$set":{"length":{"$numberLong":")" + std::string(length) + "\"}}}");
    expect_corrupt("length");
  }
  file(R"({"$set":{"length":"4194404"}})");
  expect_corrupt("length");
  file(R"({"$set":{"length":{"$numberLong":"4194404"},"chunkSize":261120}})");
  expect_corrupt("chunk size");
}

TEST_F(MongodbDamageTest, swapped_files_are_the_callers_to_notice_but_whole) {
  chunks(R"({"files_id":"digits/1/model","n":2})", R"({"$set":{"files_id":"x"}})");
  chunks(R"({"files_id":"other/1/model","n":2})", R"({"$set":{"files_id":"digits/1/model"}})");
  EXPECT_EQ(read_all(*store_, {"digits", 1, "model"}).size(), 4 * kBlockSize + 100);
  EXPECT_EQ(outcome_of([&] { read_all(*store_, {"other", 1, "model"}); }).status, Status::corrupt);
}

TEST_F(MongodbDamageTest, check_compares_rows_with_their_places) {
  store_->append_record({"alias", "digits", "live"}, 1, "r", {});
  const auto status = [&] { return outcome_of([&] { store_->check("digits", {}); }).status; };
  const auto update = [&](const std::string& collection, const std::string& filter,
                          const std::string& change) {
    command(R"({"update":")" + collection + R"(","updates":[{"q":)" + filter + R"(,"u":)" + change +
            "}]}");
  };
  EXPECT_EQ(status(), Status::ok);
  const struct {
    const char* collection;
    const char* filter;
    const char* change;
    const char* undo;
  } damages[] = {
      {"ptsecure.versions", R"({"_id":"digits/1"})", R"({"$set":{"version":{"$numberLong":"2"}}})",
       R"({"$set":{"version":{"$numberLong":"1"}}})"},
      {"ptsecure.versions", R"({"_id":"digits/1"})", R"({"$set":{"name":"stolen"}})",
       R"({"$set":{"name":"digits"}})"},
      {"ptsecure.versions", R"({"_id":"digits/1"})", R"({"$set":{"state":"Committed"}})",
       R"({"$set":{"state":"committed"}})"},
      {"ptsecure.names", R"({"_id":"digits"})", R"({"$set":{"name":"Digits"}})",
       R"({"$set":{"name":"digits"}})"},
      {"ptsecure.names", R"({"_id":"digits"})", R"({"$set":{"last":{"$numberLong":"0"}}})",
       R"({"$set":{"last":{"$numberLong":"1"}}})"},
      {"ptsecure.payloads.files", R"({"_id":"digits/1/model"})", R"({"$set":{"filename":"x"}})",
       R"({"$set":{"filename":"digits/1/model"}})"},
      {"ptsecure.records", R"({"_id":"alias/digits/live/1"})",
       R"({"$set":{"sequence":{"$numberLong":"2"}}})",
       R"({"$set":{"sequence":{"$numberLong":"1"}}})"},
      {"ptsecure.chains", R"({"_id":"alias/digits/live"})", R"({"$set":{"leaf":"Live"}})",
       R"({"$set":{"leaf":"live"}})"},
  };
  for (const auto& damage : damages) {
    SCOPED_TRACE(damage.change);
    update(damage.collection, damage.filter, damage.change);
    EXPECT_EQ(status(), Status::corrupt);
    update(damage.collection, damage.filter, damage.undo);
    EXPECT_EQ(status(), Status::ok);
  }
}

TEST_F(MongodbDamageTest, numbers_stay_unique_without_indexes_and_counter) {
  for (const char* collection : {"versions", "records", "names", "wraps"}) {
    command(R"({"dropIndexes":"ptsecure.)" + std::string(collection) + R"(","index":"*"})");
  }
  command(R"({"drop":"ptsecure.names"})");
  EXPECT_EQ(publish(*store_, "digits"), 2u);
  EXPECT_EQ(publish(*store_, "digits"), 3u);
  store_->append_record({"log"}, 1, "one", {});
  EXPECT_EQ(outcome_of([&] { store_->append_record({"log"}, 1, "two", {}); }).status,
            Status::conflict);
}

TEST_F(MongodbStoreTest, a_store_of_another_format_is_refused) {
  const auto store = open();
  command(
      R"({"update":"ptsecure.meta","updates":[{"q":{"_id":"store"},"u":{"$set":{"format":2}}}]})");
  EXPECT_EQ(outcome_of([&] { open_store(uri(), {})->newest("digits", {}); }).status,
            Status::unsupported);
  EXPECT_EQ(outcome_of([&] { open_store(uri(), {})->ensure_created({}); }).status,
            Status::unsupported);
  command(
      R"({"update":"ptsecure.meta","updates":[{"q":{"_id":"store"},"u":{"$unset":{"id":1}}}]})");
  EXPECT_EQ(outcome_of([&] { open_store(uri(), {})->id({}); }).status, Status::corrupt);
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
  const Bytes model = pattern(3 * kBlockSize, 1);
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
  publish(*store, "digits", pattern(3 * kBlockSize, 1));
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
  EXPECT_EQ(count(R"({"command.readConcern.level":"linearizable"})"), 1);
  EXPECT_GE(count(R"({"command.readConcern.level":"majority"})"), 4);
  EXPECT_EQ(
      count(R"({"op":"query","command.readConcern.level":{"$nin":["majority","linearizable"]}})"),
      0);
}

// --- a guest in somebody's process
// ----------------------------------------------------------------

std::mutex host_log_mutex;
std::vector<std::string> host_log;  // what a handler of the host's was given

void host_handler(mongoc_log_level_t, const char*, const char* message, void*) {
  const std::lock_guard lock(host_log_mutex);
  host_log.emplace_back(message);
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
    const auto store = open_store(uri("noSuchOption=1"), options);
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
  publish(*store, "digits", pattern(3 * kBlockSize + 17, 1));
  publish(*store, "empty", {});
  const char* python = std::getenv("PTSECURE_PYTHON");
  ASSERT_NE(python, nullptr) << "PTSECURE_PYTHON must name a Python that has pymongo";
  const std::string line = "'" + std::string(python) +
                           "' '" PTSECURE_SOURCE_DIR "/tests/store/gridfs_interop.py' '" + uri() +
                           "'";
  EXPECT_EQ(std::system(line.c_str()), 0);  // NOLINT(cert-env33-c): our own script
}

}  // namespace
}  // namespace ptsecure::test
