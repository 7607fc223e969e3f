#include "tests/engine/models.hpp"

#if PTSECURE_WITH_TORCH

#include <dlfcn.h>

#include <array>
#include <chrono>
#include <iterator>
#include <thread>

namespace ptsecure::testing {
namespace {

using Arguments = std::vector<Value>;

std::pair<Status, std::string> failure(EngineModel& model, const std::string& method,
                                       const Arguments& arguments) {
  return error_of([&] { model.infer(method, arguments); });
}

void expect_refused(EngineModel& model, const Arguments& arguments, const std::string& text) {
  const auto [status, message] = failure(model, "forward", arguments);
  EXPECT_EQ(status, Status::invalid_input) << message;
  EXPECT_NE(message.find(text), std::string::npos) << message;
}

TEST(Infer, RefusesArgumentsOfTheWrongKindBeforeTorchSeesThem) {
  const auto model = load("scalars");
  const Value x = floats({2}, {1, 2});
  const Value n = std::int64_t{1};
  const Value mode = std::string("keep");
  expect_refused(*model, {}, "input 'x' of forward is missing");
  expect_refused(*model, {x, n}, "input 'mode' of forward is missing");
  expect_refused(*model, {n, n, mode}, "input 'x' of forward must be a tensor, but is int");
  expect_refused(*model, {x, 0.5, mode}, "input 'n' of forward must be an int, but is float");
  expect_refused(*model, {x, n, n}, "must be a string");
  expect_refused(*model, {x, n, mode, mode}, "must be a float");
  expect_refused(*model, {x, n, mode, 1.0, n}, "must be a bool");
  expect_refused(*model, {x, n, mode, 1.0, true, n}, "takes at most 5 inputs, but was given 6");
  const auto [status, message] = failure(*model, "backward", {x});
  EXPECT_EQ(status, Status::invalid_input);
  EXPECT_NE(message.find("it has forward"), std::string::npos) << message;
}

TEST(Infer, RefusesContainersOfTheWrongKind) {
  const auto model = load("containers");
  const Value x = floats({3}, {1, 2, 3});
  const Value xs = List{{x, x}};
  const Value pair = Tuple{{x, std::int64_t{1}}};
  expect_refused(*model, {x, Value(), Dict{}, List{}, pair}, "'xs' of forward must be a list");
  expect_refused(*model, {List{{x, 1.0}}, Value(), Dict{}, List{}, pair}, "must be a tensor");
  expect_refused(*model, {xs, Value(), List{}, List{}, pair}, "'table' of forward must be a dict");
  expect_refused(*model, {xs, Value(), Dict{}, List{{x}}, pair}, "must be an int");
  expect_refused(*model, {xs, Value(), Dict{}, List{}, Tuple{{x}}}, "must be a tuple of 2");
}

TEST(Infer, TakesAnIntForAFloat) {
  const auto model = load("scalars");
  const Value result = model->infer("forward", Arguments{floats({2}, {1, 2}), std::int64_t{2},
                                                         std::string("keep"), std::int64_t{3}});
  EXPECT_EQ(difference(floats({2}, {6, 12}), result), "");
}

TEST(Infer, TakesStridedInputsInPlace) {
  const auto model = load("no_parameters");
  Tensor x = floats({2, 3}, {0, 1, 2, 3, 4, 5});
  x.shape = {3, 2};
  x.strides = {1, 3};
  const Value result = model->infer("forward", Arguments{x});
  EXPECT_EQ(difference(floats({3, 2}, {1, 7, 3, 9, 5, 11}), result), "");
}

TEST(Infer, CopiesMisalignedInputs) {
  const auto model = load("no_parameters");
  const Tensor whole = floats({4}, {0, 0, 0, 0});
  Tensor x = whole;
  x.shape = {2};
  x.data = static_cast<char*>(whole.data) + 1;
  const std::array<float, 2> elements = {1, 2};
  std::memcpy(x.data, elements.data(), sizeof(elements));
  EXPECT_EQ(difference(floats({2}, {3, 5}), model->infer("forward", Arguments{x})), "");
}

TEST(Infer, RefusesElementsWithoutData) {
  const auto model = load("no_parameters");
  Tensor x = floats({2}, {1, 2});
  x.data = nullptr;
  EXPECT_EQ(failure(*model, "forward", {x}).first, Status::invalid_input);
}

TEST(Infer, TakesItsOwnOutputBackWithoutACopy) {
  const auto model = load("no_parameters");
  const Value first = model->infer("forward", Arguments{floats({2}, {1, 2})});
  const Value second = model->infer("forward", Arguments{first});
  EXPECT_EQ(difference(floats({2}, {3, 5}), first), "");
  EXPECT_EQ(difference(floats({2}, {7, 11}), second), "");
  // A view of it, which is not the tensor itself.
  Tensor part = first.get<Tensor>();
  part.shape = {1};
  part.data = static_cast<float*>(part.data) + 1;
  EXPECT_EQ(difference(floats({1}, {11}), model->infer("forward", Arguments{part})), "");
}

TEST(Infer, OutputsOwnTheirMemory) {
  const auto model = load("aliases");
  const nlohmann::json calls = model_calls("aliases");
  const Tensor x = decode(calls[0]["arguments"][0]).get<Tensor>();
  Value result = model->infer("forward", Arguments{x});
  // Writing to every output changes neither the weights nor the input.
  const std::string before = bytes_of(x);
  for (Value& item : result.get<List>().items) {
    Tensor& tensor = item.get<Tensor>();
    EXPECT_FALSE(tensor.read_only);
    EXPECT_NE(tensor.data, x.data);
    std::memset(tensor.data, 0x11, tensor.nbytes());
  }
  EXPECT_EQ(bytes_of(x), before);
  expect_answers(*model, calls);
}

TEST(Infer, OutputsOutliveTheModelAndTheirInputs) {
  Value kept;
  {
    auto model = load("aliases");
    Tensor x = decode(model_calls("aliases")[0]["arguments"][0]).get<Tensor>();
    Tensor borrowed = x;
    borrowed.owner.reset();
    kept = model->infer("forward", Arguments{borrowed});
    std::memset(x.data, 0, x.nbytes());
  }
  EXPECT_EQ(difference(decode(model_calls("aliases")[0]["result"]), kept), "");
}

TEST(Infer, AStatefulModelKeepsNoBorrowedMemory) {
  const auto model = load("keeps_input");
  const nlohmann::json calls = model_calls("keeps_input");
  Tensor x = decode(calls[0]["arguments"][0]).get<Tensor>();
  Tensor borrowed = x;
  borrowed.owner.reset();
  model->infer("forward", Arguments{borrowed});
  std::memset(x.data, 0, x.nbytes());
  const Value previous = model->infer("forward", Arguments{decode(calls[1]["arguments"][0])});
  EXPECT_EQ(difference(decode(calls[1]["result"]), previous), "");
}

TEST(Infer, NeverWritesToItsInputs) {
  const auto model = load("writes_input");
  const Tensor x = floats({2}, {1, 2});
  const Value result = model->infer("forward", Arguments{x});
  EXPECT_EQ(difference(floats({2}, {4, 6}), result), "");
  EXPECT_EQ(difference(floats({2}, {1, 2}), x), "");
  const Value again = model->infer("forward", Arguments{result});
  EXPECT_EQ(difference(floats({2}, {4, 6}), result), "");
}

TEST(Infer, SaysWhatCannotBeReturned) {
  const auto model = load("unreturnable");
  const Value x = floats({2}, {1, 0});
  for (const auto& [method, text] :
       {std::pair("forward", "string keys"), std::pair("sparse", "to_dense"),
        std::pair("quantized", "dequantize"), std::pair("meta", "on the device meta")}) {
    const auto [status, message] = failure(*model, method, {x});
    EXPECT_EQ(status, Status::unsupported) << message;
    EXPECT_NE(message.find(text), std::string::npos) << message;
  }
}

TEST(Infer, FailsWithTheModelsOwnLastLine) {
  const auto model = load("raises");
  const auto raised = failure(*model, "forward", {floats({1}, {1})});
  EXPECT_EQ(raised.first, Status::engine);
  EXPECT_EQ(raised.second, "forward: ValueError: the sky is falling");
  const auto mismatch = failure(*model, "forward", {floats({2, 3}, {1, 2, 3, 4, 5, 6})});
  EXPECT_EQ(mismatch.first, Status::engine);
  EXPECT_NE(mismatch.second.find("mat1 and mat2 shapes cannot be multiplied"), std::string::npos)
      << mismatch.second;
  EXPECT_EQ(mismatch.second.find('\n'), std::string::npos) << mismatch.second;
  const auto asserted = failure(*model, "asserts", {floats({1}, {1})});
  EXPECT_EQ(asserted.first, Status::engine);
  EXPECT_NE(asserted.second.find("seven rows are needed"), std::string::npos) << asserted.second;
}

TEST(Infer, TellsMemoryThatIsNotThere) {
  const auto model = load("raises");
  const auto [status, message] = failure(*model, "allocate", {std::int64_t{1} << 17});
  EXPECT_EQ(status, Status::out_of_memory) << message;
}

TEST(Infer, RefusesAnInputThatIsNestedWithoutEnd) {
  const auto model = load("containers");
  Value deep = List{};
  for (int i = 0; i < 100; ++i) deep = List{{deep}};
  const auto [status, message] = failure(*model, "forward", {deep});
  EXPECT_EQ(status, Status::invalid_input) << message;
}

TEST(Infer, RunsOnManyThreadsAtOnce) {
  const auto model = load("resnet18_scripted");
  const nlohmann::json calls = model_calls("resnet18_scripted");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int call = 0; call < 2; ++call) expect_answers(*model, calls);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// The OpenMP runtime that libtorch uses, asked as libtorch would.
int torch_threads() {
  void* torch = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);
  const auto get = reinterpret_cast<int (*)()>(dlsym(torch, "omp_get_max_threads"));
  return get();
}

TEST(IntraOpThreads, AreASettingOfTheCallAlone) {
  EngineLoadOptions options = torchscript_options();
  options.intra_op_threads = 3;
  ByteSourceDouble source(model_bytes("linear"));
  const auto model = load(source, options);
  const int here_before = torch_threads();
  int elsewhere = 0;
  std::thread([&] { elsewhere = torch_threads(); }).join();
  expect_answers(*model, model_calls("linear"));
  EXPECT_EQ(torch_threads(), here_before);
  int elsewhere_after = 0;
  std::thread([&] { elsewhere_after = torch_threads(); }).join();
  EXPECT_EQ(elsewhere_after, elsewhere);
  // A failing call restores it too.
  failure(*model, "forward", {floats({1, 3}, {1, 2, 3})});
  EXPECT_EQ(torch_threads(), here_before);
}

std::ptrdiff_t count_threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// Once those that belonged to a thread that has ended have gone, which takes a moment.
std::ptrdiff_t count_threads_at_rest() {
  std::ptrdiff_t count = count_threads();
  for (int same = 0; same < 5;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const std::ptrdiff_t now = count_threads();
    same = now == count ? same + 1 : 0;
    count = now;
  }
  return count;
}

// A thread that runs a parallel operation keeps its helpers, so they can be counted afterwards.
TEST(IntraOpThreads, BoundWhatAnOperationUses) {
  const std::string bytes = model_bytes("no_parameters");
  const Tensor large = make_tensor(DType::float32, {1 << 20}, std::string(4 << 20, '\0'));
  for (const int threads : {1, 2, 5}) {
    EngineLoadOptions options = torchscript_options();
    options.intra_op_threads = threads;
    ByteSourceDouble source(bytes);
    const auto model = load(source, options);
    std::ptrdiff_t helpers = -1;
    std::thread([&] {
      const std::ptrdiff_t before = count_threads_at_rest();
      model->infer("forward", Arguments{large});
      helpers = count_threads() - before;
    }).join();
    EXPECT_EQ(helpers, threads - 1);
  }
}

}  // namespace
}  // namespace ptsecure::testing

#endif
