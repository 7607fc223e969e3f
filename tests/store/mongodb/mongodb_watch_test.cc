// What Store::watch tells of, and what it outlives.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/store/mongodb/mongodb_fixture.hpp"

namespace ptsecure::test {
namespace {

const ChainId kWatched{"apikey", "one"};

// A watch on a thread of its own.
class Watching {
 public:
  explicit Watching(std::shared_ptr<Store> store)
      : store_(std::move(store)), thread_([this] {
          outcome_ =
              outcome_of([this] { store_->watch({"apikey"}, [this] { ++told_; }, cancel_); });
        }) {}
  ~Watching() { stop(); }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

  int told() const { return told_; }
  bool tells(int times, std::chrono::seconds within) const {
    const auto end = Clock::now() + within;
    while (told_ < times && Clock::now() < end) std::this_thread::sleep_for(10ms);
    return told_ >= times;
  }
  Outcome stop() {
    cancel_.cancel();
    if (thread_.joinable()) thread_.join();
    return outcome_;
  }

 private:
  std::shared_ptr<Store> store_;
  CancelToken cancel_ = CancelToken::make();
  std::atomic<int> told_ = 0;
  Outcome outcome_;
  std::thread thread_;
};

class MongodbWatchTest : public MongodbStoreTest {
 protected:
  void SetUp() override {
    store_ = open();
    store_->append_record(kWatched, 1, "first", {});
  }
  std::shared_ptr<Store> store_;
};

TEST_F(MongodbWatchTest, tells_of_those_chains_and_no_others) {
  Watching watching(open_store(uri(), {}));
  ASSERT_TRUE(watching.tells(1, 10s)) << "once when it begins";
  store_->append_record({"alias", "digits", "production"}, 1, "another chain", {});
  store_->append_record(kWatched, 2, "second", {});
  EXPECT_TRUE(watching.tells(2, 10s));
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(watching.told(), 2);
  EXPECT_EQ(watching.stop().status, Status::cancelled);
}

TEST_F(MongodbWatchTest, begins_anew_when_the_server_ends_the_stream) {
  Watching watching(open_store(uri(), {}));
  ASSERT_TRUE(watching.tells(1, 10s));
  command(R"({"drop":"ptsecure.records"})");
  ASSERT_TRUE(watching.tells(2, 20s)) << "that another has begun";
  const int before = watching.told();
  store_->append_record(kWatched, 1, "first again", {});
  EXPECT_TRUE(watching.tells(before + 1, 20s));
}

TEST_F(MongodbWatchTest, ignores_the_read_concern_and_preference_of_the_uri) {
  Watching watching(open_store(uri("readConcernLevel=local&readPreference=secondary"), {}));
  ASSERT_TRUE(watching.tells(1, 10s));
  store_->append_record(kWatched, 2, "second", {});
  EXPECT_TRUE(watching.tells(2, 10s));
}

}  // namespace
}  // namespace ptsecure::test
