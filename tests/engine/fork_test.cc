#include "tests/engine/models.hpp"

#if PTSECURE_WITH_TORCH

#include <thread>

namespace ptsecure::testing {
namespace {

// The stateful models and what they answer in order. A fork taken before the first call must answer
// the same, whatever its siblings were asked in between.
class Fork : public ::testing::TestWithParam<const char*> {};

TEST_P(Fork, DoesNotMixWithItsSiblings) {
  const nlohmann::json calls = model_calls(GetParam());
  const auto first = load(GetParam());
  const auto second = first->fork();
  const auto third = second->fork();
  for (const auto& call : calls) {
    const auto one = nlohmann::json::array({call});
    expect_answers(*first, one);
    expect_answers(*second, one);
  }
  expect_answers(*third, calls);
}

TEST_P(Fork, StartsFromTheStateAsItIs) {
  const nlohmann::json calls = model_calls(GetParam());
  const auto first = load(GetParam());
  const auto head = nlohmann::json::array({calls[0]});
  const nlohmann::json tail(std::vector<nlohmann::json>(calls.begin() + 1, calls.end()));
  expect_answers(*first, head);
  const auto second = first->fork();
  expect_answers(*first, tail);
  expect_answers(*second, tail);
}

TEST_P(Fork, OutlivesItsOrigin) {
  auto first = load(GetParam());
  const auto second = first->fork();
  first.reset();
  expect_answers(*second, model_calls(GetParam()));
}

TEST_P(Fork, RunsBesideItsSiblings) {
  const nlohmann::json calls = model_calls(GetParam());
  const auto first = load(GetParam());
  std::vector<std::unique_ptr<EngineModel>> forks;
  for (int i = 0; i < 4; ++i) forks.push_back(first->fork());
  std::vector<std::thread> threads;
  for (const auto& fork : forks) threads.emplace_back([&] { expect_answers(*fork, calls); });
  for (std::thread& thread : threads) thread.join();
}

INSTANTIATE_TEST_SUITE_P(Models, Fork,
                         ::testing::Values("lstm", "assigned_state", "keeps_input", "counter",
                                           "caches", "element_state", "parameter_state", "training",
                                           "resnet18_scripted"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(ForkOfAStatelessModel, SharesEverything) {
  const auto first = load("aliases");
  const auto second = first->fork();
  expect_answers(*second, model_calls("aliases"));
  EXPECT_EQ(second->description().weight_bytes, first->description().weight_bytes);
}

TEST(StatefulHandle, SerialisesItsCalls) {
  const auto model = load("counter");
  const Tensor zero = floats({1}, {0});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int call = 0; call < 50; ++call) model->infer("forward", std::vector<Value>{zero});
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Value last = model->infer("forward", std::vector<Value>{zero});
  EXPECT_EQ(difference(floats({1}, {201}), last), "");
}

}  // namespace
}  // namespace ptsecure::testing

#endif
