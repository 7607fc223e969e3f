// Whose turn it is to run a stateful model, and who gives up waiting for it.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>

#include "libptsecure/model/model.hpp"

namespace ptsecure {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Runs until it is let go.
class Slow : public EngineModel {
 public:
  explicit Slow(bool stateful) {
    description_.stateful = stateful;
    MethodSpec forward;
    forward.name = "forward";
    description_.methods.push_back(forward);
  }

  const ModelDescription& description() const override { return description_; }
  Value infer(const std::string&, std::span<const Value>) override {
    const int running = ++running_;
    most_ = std::max(most_.load(), running);
    begun_.count_down();
    while (!let_go_) std::this_thread::sleep_for(1ms);
    --running_;
    return Value();
  }
  std::unique_ptr<EngineModel> fork() const override {
    ++forks_;
    return std::make_unique<Slow>(description_.stateful);
  }
  void replace_weights(ByteSource&, bool) override {}

  struct Once {
    void count_down() { done = true; }
    void wait() const {
      while (!done) std::this_thread::sleep_for(1ms);
    }
    std::atomic<bool> done{false};
  };
  ModelDescription description_;
  std::atomic<int> running_{0};
  std::atomic<int> most_{0};
  mutable std::atomic<int> forks_{0};
  std::atomic<bool> let_go_{false};
  Once begun_;
};

class TurnTest : public testing::Test {
 protected:
  void begin(bool stateful) {
    engine_ = std::make_shared<Slow>(stateful);
    model_ = std::make_shared<LoadedModel>(std::make_shared<Manifest>(), engine_);
    first_ = std::async(std::launch::async, [this] { model_->infer("", {}); });
    engine_->begun_.wait();
  }
  ~TurnTest() override {
    if (engine_) engine_->let_go_ = true;
  }

  template <class Work>
  static Status status_of(Work work) {
    try {
      work();
    } catch (const Error& error) {
      return error.status();
    }
    return Status::ok;
  }

  std::shared_ptr<Slow> engine_;
  std::shared_ptr<LoadedModel> model_;
  std::future<void> first_;
};

TEST_F(TurnTest, WhoWaitsForAStatefulModelGivesUp) {
  begin(true);
  const auto start = Clock::now();
  EXPECT_EQ(status_of([&] { model_->infer("", {}, {}, CancelToken().within(100ms)); }),
            Status::timeout);
  EXPECT_LT(Clock::now() - start, 1s);
  EXPECT_EQ(status_of([&] { model_->fork(CancelToken().within(10ms)); }), Status::timeout);
  const CancelToken cancelled = CancelToken::make();
  auto waiting = std::async(
      std::launch::async, [&] { return status_of([&] { model_->infer("", {}, {}, cancelled); }); });
  std::this_thread::sleep_for(20ms);
  cancelled.cancel();
  EXPECT_EQ(waiting.get(), Status::cancelled);
  EXPECT_EQ(engine_->most_, 1);
  EXPECT_EQ(engine_->forks_, 0);
}

TEST_F(TurnTest, ItsTurnComes) {
  begin(true);
  auto with_time = std::async(std::launch::async, [&] {
    return status_of([&] { model_->infer("", {}, {}, CancelToken().within(1h)); });
  });
  auto without =
      std::async(std::launch::async, [&] { return status_of([&] { model_->infer("", {}); }); });
  std::this_thread::sleep_for(20ms);
  engine_->let_go_ = true;
  EXPECT_EQ(with_time.get(), Status::ok);
  EXPECT_EQ(without.get(), Status::ok);
  EXPECT_EQ(engine_->most_, 1);
  EXPECT_NE(model_->fork(), nullptr);
}

TEST_F(TurnTest, VersionsSwappedIntoOneAnotherShareIt) {
  begin(true);
  class Nothing : public ByteSource {
    std::uint64_t size() const override { return 0; }
    void read(std::uint64_t, void*, std::size_t) override {}
    void defer(std::uint64_t, void*, std::size_t) override {}
    void discard_deferred() override {}
    void finish() override {}
  } nothing;
  const auto next = model_->with_weights(nothing, false, std::make_shared<Manifest>());
  EXPECT_EQ(status_of([&] { next->infer("", {}, {}, CancelToken().within(20ms)); }),
            Status::timeout);
}

TEST_F(TurnTest, StatelessModelsWaitForNobody) {
  begin(false);
  auto second = std::async(std::launch::async, [&] {
    return status_of([&] { model_->infer("", {}, {}, CancelToken().within(1h)); });
  });
  while (engine_->running_ < 2) std::this_thread::sleep_for(1ms);
  EXPECT_NE(model_->fork(CancelToken().within(1h)), nullptr);
  engine_->let_go_ = true;
  EXPECT_EQ(second.get(), Status::ok);
}

TEST_F(TurnTest, ACallThatHasEndedRunsNothing) {
  const auto engine = std::make_shared<Slow>(false);
  engine->let_go_ = true;
  const LoadedModel model(std::make_shared<Manifest>(), engine);
  const CancelToken cancelled = CancelToken::make();
  cancelled.cancel();
  EXPECT_EQ(status_of([&] { model.infer("", {}, {}, cancelled); }), Status::cancelled);
  EXPECT_EQ(status_of([&] { model.fork(cancelled); }), Status::cancelled);
  EXPECT_EQ(engine->most_, 0);
  EXPECT_EQ(engine->forks_, 0);
}

}  // namespace
}  // namespace ptsecure
