#include <dlfcn.h>
#include <malloc.h>

#include <string>
#include <thread>

#include "tests/engine/packages.hpp"

#if PTSECURE_WITH_TORCH

// Operators that compiled code calls through a proxy.
namespace ptsecure::testing {
namespace {

void register_operators() {
  load("linear");  // libtorch is there, as it is in a process that has operators
  static void* library = dlopen(PTSECURE_TEST_OPERATORS, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
}

std::string with_record(const std::string& name, const std::string& from, const std::string& to) {
  std::string bytes = package_bytes(name);
  EXPECT_EQ(from.size(), to.size());
  EXPECT_NE(bytes.find(from), std::string::npos);
  for (auto at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at + 1)) {
    bytes.replace(at, from.size(), to);
  }
  return bytes;
}

// The first: what is registered stays.
TEST(ExternOperators, AreRefusedUntilTheyAreRegistered) {
  const auto [status, message] = error_of([] { load_package("operators"); });
  EXPECT_EQ(status, Status::unsupported);
  EXPECT_NE(message.find("ptsecure_test::scaled_sum, which nothing in this process has registered"),
            std::string::npos)
      << message;
  ByteSourceDouble source(package_bytes("operators"));
  EngineLoadOptions options = package_options();
  options.inspect_only = true;
  EXPECT_EQ(load(source, options)->description().methods[0].inputs.size(), 1U);
  register_operators();
  load_package("operators");
}

TEST(ExternOperators, AreCalledWithWhatWasCompiledForThem) {
  register_operators();
  const auto model = load_package("operators");
  const auto calls = package_calls("operators");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) expect_close(*model, calls);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ExternOperators, WhatTheyThrowReachesTheCaller) {
  register_operators();
  const auto model = load_package("operators");
  const ValueVector many = {
      make_tensor(DType::float32, {11, 2048}, std::string(std::size_t{11} * 2048 * 4, '\0'))};
  for (int i = 0; i < 2; ++i) {
    const auto [status, message] = error_of([&] { model->infer("forward", many); });
    EXPECT_EQ(status, Status::engine);
    EXPECT_NE(message.find("at most 10 times"), std::string::npos) << message;
    expect_close(*model, package_calls("operators"));
  }
}

TEST(ExternOperators, WhatDoesNotFitTheOneRegisteredIsRefused) {
  register_operators();
  const std::vector<std::tuple<std::string, std::string, Status, std::string>> cases = {
      {"\"factor\"", "\"Factor\"", Status::unsupported, "an argument Factor"},
      {"\"as_float\"", "\"as_fleet\"", Status::unsupported, "of the kind as_fleet"},
      {"\"as_tensors\"", "\"as_tensort\"", Status::unsupported, "of the kind as_tensort"},
      {"\"aten::bincount\"", "\"call_torchbind\"", Status::unsupported, "TorchBind"},
      {"\"as_sym_int\"", "\"as_sym_inT\"", Status::unsupported, "of the kind as_sym_inT"},
      {"\"outputs\"", "\"0utputs\"", Status::invalid_model, "without outputs"},
      {"\"nodes\"", "\"n0des\"", Status::invalid_model, "without nodes"},
  };
  for (const auto& [from, to, status, says] : cases) {
    ByteSourceDouble source(with_record("operators", from, to));
    const auto error = error_of([&] { load(source, package_options()); });
    EXPECT_EQ(error.first, status) << error.second;
    EXPECT_NE(error.second.find(says), std::string::npos) << error.second;
    EXPECT_EQ(source.pending(), 0U);
  }
}

// Kilobytes that malloc has given out; what was let go may stay in the process.
long allocated() {
  const auto info = mallinfo2();
  return static_cast<long>((info.uordblks + info.hblkhd) >> 10U);
}

TEST(AotiMemory, WhileTheyAreReplacedTheWeightsAreThereTwiceThenOnce) {
  register_operators();
  const auto model = load_package("operators");
  const long weights = static_cast<long>(model->description().weight_bytes >> 10U);
  ASSERT_GE(weights, 16 << 10);
  long during = 0;
  SlowSource again(package_bytes("operators"), [&] { during = allocated(); });
  model->replace_weights(again, true);
  const long once = allocated();
  for (int round = 0; round < 4; ++round) {
    model->replace_weights(again, true);
    EXPECT_GT(during, once + weights / 2);
    EXPECT_LT(during, once + weights + weights / 2);
    EXPECT_LT(allocated(), once + weights / 2);
  }
  expect_close(*model, package_calls("operators"));
}

}  // namespace
}  // namespace ptsecure::testing

#endif
