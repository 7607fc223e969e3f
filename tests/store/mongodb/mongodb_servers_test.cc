// Servers that stall, step down, crash and come back; forks.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "tests/store/mongodb/mongodb_fixture.hpp"

namespace ptsecure::test {
namespace {

using namespace std::chrono_literals;

TEST_F(MongodbStoreTest, a_stalled_server_is_left_when_cancelled) {
  const auto store = open();
  publish(*store, "digits", pattern(3 * kSegmentSize, 1));
  const auto reader = store->read_blob({"digits", 1, "model"}, {});
  const Stall stall(server());
  const auto cancelled = [&](const char* what,
                             const std::function<void(const CancelToken&)>& call) {
    SCOPED_TRACE(what);
    const CancelToken token = CancelToken::make();
    const CancelLater later(token, 200ms);
    const Outcome outcome = outcome_of([&] { call(token); });
    EXPECT_EQ(outcome.status, Status::cancelled) << outcome.message;
    EXPECT_LT(outcome.time, 10s) << "the limits are 20 s and more";
  };
  cancelled("a row", [&](const CancelToken& token) { store->newest("digits", token); });
  cancelled("a write", [&](const CancelToken& token) { store->reserve("digits", token); });
  cancelled("segments", [&](const CancelToken& token) {
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
    EXPECT_LT(stalled.time, 20s);
    const Outcome unreachable =
        outcome_of([&] { open_store(uri(), limits(1000ms, 1000ms))->newest("digits", {}); });
    EXPECT_EQ(unreachable.status, Status::unavailable) << unreachable.message;
    EXPECT_LT(unreachable.time, 20s);
  }
  EXPECT_TRUE(store->newest("digits", {}));
}

TEST_F(MongodbStoreTest, a_step_down_in_the_middle_of_publishing_is_survived) {
  const auto store = open(limits(20000ms, 60000ms));
  const Bytes model = pattern(6 * kSegmentSize + 77, 3);
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
    const Bytes model = pattern(5 * kSegmentSize, 2);
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
  const Bytes model = pattern(2 * kSegmentSize, 4);
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

}  // namespace
}  // namespace ptsecure::test
