#include <cmath>
#include <cstring>

#include "tests/engine/models.hpp"

#if PTSECURE_WITH_TORCH

// Programs that are frozen or fused when they are loaded.
namespace ptsecure::testing {
namespace {

std::unique_ptr<EngineModel> load_optimized(const std::string& name, Optimize how) {
  ByteSourceDouble source(model_bytes(name));
  EngineLoadOptions options = torchscript_options();
  options.optimize = how;
  return load(source, options);
}

// Two float32 tensors that differ in the last bits at most.
void expect_near(const Value& expected, const Value& found) {
  const auto* wanted = expected.get_if<Tensor>();
  const auto* got = found.get_if<Tensor>();
  ASSERT_TRUE(wanted != nullptr && got != nullptr);
  const std::string a = bytes_of(*wanted);
  const std::string b = bytes_of(*got);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t at = 0; at < a.size(); at += sizeof(float)) {
    float x = 0;
    float y = 0;
    std::memcpy(&x, a.data() + at, sizeof(x));
    std::memcpy(&y, b.data() + at, sizeof(y));
    ASSERT_NEAR(x, y, 1e-4 * (1 + std::abs(x))) << at;
  }
}

class Optimized : public ::testing::TestWithParam<Optimize> {
 protected:
  static void expect_answers_near(const std::string& name) {
    const auto plain = load(name);
    const auto optimized = load_optimized(name, GetParam());
    EXPECT_EQ(optimized->description().weight_bytes, plain->description().weight_bytes);
    for (const auto& call : model_calls(name)) {
      std::vector<Value> arguments;
      for (const auto& argument : call.at("arguments")) arguments.push_back(decode(argument));
      expect_near(decode(call.at("result")),
                  optimized->infer(call.at("method").get<std::string>(), arguments));
    }
  }
};

TEST_P(Optimized, AnswersAreTheSameButForTheLastBits) {
  expect_answers_near("resnet18_scripted");
}

TEST_P(Optimized, OtherMethodsStay) {
  expect_answers_near("exported");
}

TEST_P(Optimized, StateIsNotMadeConstant) {
  const auto [status, message] = error_of([] { load_optimized("counter", GetParam()); });
  EXPECT_EQ(status, Status::unsupported);
  EXPECT_NE(message.find("state of its own"), std::string::npos) << message;
}

TEST_P(Optimized, TrainingModeIsRefused) {
  const auto [status, message] = error_of([] { load_optimized("training", GetParam()); });
  EXPECT_EQ(status, Status::unsupported);
  EXPECT_NE(message.find("eval()"), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(Ways, Optimized, ::testing::Values(Optimize::freeze, Optimize::inference));

}  // namespace
}  // namespace ptsecure::testing

#endif  // PTSECURE_WITH_TORCH
