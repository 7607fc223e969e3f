#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <set>
#include <thread>

#include "tests/engine/packages.hpp"

#if PTSECURE_WITH_TORCH

namespace ptsecure::testing {
namespace {

namespace fs = std::filesystem;

std::set<std::string> entries(const char* folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

std::size_t open_descriptors() {
  return entries("/proc/self/fd").size();
}

TEST(Aotinductor, AnswersAsThePlainModelDoes) {
  for (const char* name : {"dense", "pickled"}) {
    SCOPED_TRACE(name);
    const auto model = load_package(name);
    EXPECT_FALSE(model->description().stateful);
    expect_close(*model, package_calls("dense"));
  }
}

TEST(Aotinductor, SaysItsInputsAndOutputs) {
  const auto model = load_package("dense");
  ASSERT_EQ(model->description().methods.size(), 1U);
  const MethodSpec& forward = model->description().methods[0];
  EXPECT_EQ(forward.name, "forward");
  ASSERT_EQ(forward.inputs.size(), 2U);
  EXPECT_EQ(forward.inputs[0], (ValueSpec{.name = "x",
                                          .kind = ValueKind::tensor,
                                          .dtype = DType::float32,
                                          .shape = std::vector<std::int64_t>{-1, 8}}));
  EXPECT_EQ(forward.inputs[1].name, "extra");
  EXPECT_EQ(forward.inputs[1].kind, ValueKind::dict);
  ASSERT_EQ(forward.outputs.size(), 2U);
  EXPECT_EQ(forward.outputs[0].name, "y");
  EXPECT_EQ(forward.outputs[1].kind, ValueKind::tuple);
  EXPECT_EQ(model->description().weight_bytes, 4U * (8 * 16 + 16 + 16 * 4 + 4 + 4));
}

TEST(Aotinductor, DecryptsWeightsIntoThePlaceWhereTheyAreUsed) {
  ByteSourceDouble source(package_bytes("dense"));
  const auto model = load(source, package_options());
  EXPECT_EQ(source.begins, 1);
  EXPECT_EQ(source.finishes, 1);
  EXPECT_GE(source.bytes_deferred, model->description().weight_bytes);
  EXPECT_EQ(source.pending(), 0U);
}

TEST(Aotinductor, DescribesWithoutWeights) {
  ByteSourceDouble source(package_bytes("dense"));
  EngineLoadOptions options = package_options();
  options.inspect_only = true;
  const auto model = load(source, options);
  EXPECT_EQ(source.finishes, 0);
  EXPECT_EQ(source.bytes_deferred, 0U);
  EXPECT_EQ(model->description().methods[0].inputs[0].name, "x");
  const auto [status, message] = error_of([&] { model->infer("forward", {}); });
  EXPECT_EQ(status, Status::invalid_argument);
}

TEST(Aotinductor, KeepsStatePerFork) {
  const auto calls = package_calls("counter");
  const auto model = load_package("counter");
  EXPECT_TRUE(model->description().stateful);
  const auto before = model->fork();
  expect_close(*model, calls);
  expect_close(*before, calls);  // as the state was when it was forked
  const auto after = before->fork();
  const auto fresh = load_package("counter");
  const auto value = [&](EngineModel& of) {
    const Value result = of.infer("forward", arguments_of(calls[0]));
    return static_cast<const float*>(result.items()[0].get<Tensor>().data)[0];
  };
  EXPECT_NEAR(value(*after) - value(*fresh), 3.0, 1e-5);
  EXPECT_NEAR(value(*after) - value(*fresh), 3.0, 1e-5);
}

TEST(Aotinductor, HandsOutNoMemoryOfItsWeights) {
  const auto calls = package_calls("counter");
  Value kept;
  {
    const auto model = load_package("counter");
    kept = model->infer("forward", arguments_of(calls[0])).items()[1];
    const Value again = model->infer("forward", arguments_of(calls[1])).items()[1];
    EXPECT_NE(kept.get<Tensor>().data, again.get<Tensor>().data);
  }
  EXPECT_EQ(far(decode(calls[0]["result"]).items()[1], kept), "");
}

TEST(Aotinductor, RunsFromManyThreadsAtOnce) {
  const auto model = load_package("dense");
  const auto calls = package_calls("dense");
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) expect_close(*model, calls);
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(Aotinductor, SeveralModelsOfOnePackageAreItsMethods) {
  const auto model = load_package("several");
  ASSERT_EQ(model->description().methods.size(), 2U);
  EXPECT_EQ(model->description().methods[0].name, "forward");
  EXPECT_EQ(model->description().methods[1].name, "counter");
  EXPECT_EQ(model->description().methods[1].inputs[1].name, "step");
  expect_close(*model, package_calls("dense"));
  expect_close(*model, package_calls("counter"), "counter");
}

TEST(Aotinductor, OnePackageAfterAnotherIsNotTakenForTheFirst) {
  for (int round = 0; round < 3; ++round) {
    expect_close(*load_package("dense"), package_calls("dense"));
    expect_close(*load_package("counter"), package_calls("counter"));
  }
}

TEST(Aotinductor, OpeningAgainKeepsNoMoreDescriptors) {
  load_package("dense");
  load_package("counter");
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 10; ++round) {
    load_package("dense");
    load_package("counter");
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Aotinductor, CodeLiesInSealedMemoryThatNoChildInherits) {
  const auto model = load_package("dense");
  int found = 0;
  for (const std::string& name : entries("/proc/self/fd")) {
    std::error_code ec;
    const auto target = fs::read_symlink("/proc/self/fd/" + name, ec);
    if (target.string().find("memfd:ptsecure") == std::string::npos) continue;
    ++found;
    const int fd = std::stoi(name);
    EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_GE(found, 1);
}

std::size_t libraries_in_memory() {
  std::set<std::string> mapped;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const bool code = line.find(" r-xp ") != std::string::npos;
    if (code && line.find("memfd:ptsecure") != std::string::npos) mapped.insert(line);
  }
  return mapped.size();
}

TEST(Aotinductor, AsksBeforeItMapsCode) {
  load_package("dense");  // libtorch's part of it
  const std::size_t before = libraries_in_memory();
  const std::size_t descriptors = open_descriptors();
  EngineLoadOptions options = package_options();
  options.before_code = [] { throw Error(Status::revoked, "forbidden"); };
  ByteSourceDouble source(package_bytes("fresh"));
  EXPECT_EQ(error_of([&] { load(source, options); }).first, Status::revoked);
  EXPECT_EQ(source.pending(), 0U);
  EXPECT_EQ(libraries_in_memory(), before);
  EXPECT_EQ(open_descriptors(), descriptors);
  load_package("fresh");
  EXPECT_EQ(libraries_in_memory(), before + 1);
}

TEST(Aotinductor, InputsAreCheckedBeforeCompiledCodeReadsThem) {
  const auto model = load_package("dense");
  const auto call = [&](Value x, Value extra) {
    return error_of([&] {
      const ValueVector arguments{std::move(x), std::move(extra)};
      model->infer("forward", arguments);
    });
  };
  const auto bias = [](Tensor tensor) { return Dict{{{"bias", std::move(tensor)}}}; };
  const Tensor rows = floats({1, 8}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor four = floats({4}, {1, 2, 3, 4});
  const std::vector<std::pair<std::pair<Status, std::string>, std::string>> cases = {
      {call(floats({1, 4}, {1, 2, 3, 4}), bias(four)), "must be Float[-1,8]"},
      {call(floats({8}, {1, 2, 3, 4, 5, 6, 7, 8}), bias(four)), "must be Float[-1,8]"},
      {call(make_tensor(DType::float64, {1, 8}, std::string(64, '\0')), bias(four)),
       "but is Double[1,8]"},
      {call(make_tensor(DType::float32, {65, 8}, std::string(65 * 32, '\0')), bias(four)),
       "at most 64"},
      {call(make_tensor(DType::float32, {0, 8}, ""), bias(four)), "but is Float[0,8]"},
      {call(rows, bias(floats({2}, {1, 2}))), "a tensor of input 'extra'"},
      {call(rows, four), "must be a dict of 1"},
      {call(rows, Dict{{{"other", four}}}), "the key bias"},
      {call(List{{rows}}, bias(four)), "must be a tensor"},
      {call(rows, bias(four)), "no error"},
      {error_of([&] { model->infer("forward", ValueVector{rows}); }), "takes 2 inputs"},
      {error_of([&] { model->infer("backward", ValueVector{rows}); }), "it has forward"},
  };
  for (const auto& [error, expected] : cases) {
    EXPECT_NE(error.second.find(expected), std::string::npos) << error.second;
    if (expected != "no error") {
      EXPECT_EQ(error.first, Status::invalid_input);
    }
  }
}

Tensor zeros(const Dims& shape) {
  std::size_t elements = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) elements *= static_cast<std::size_t>(shape[i]);
  return make_tensor(DType::float32, shape, std::string(elements * 4, '\0'));
}

TEST(Aotinductor, InputsThatDoNotBelongTogetherAreRefused) {
  const auto model = load_package("inputs");
  expect_close(*model, package_calls("inputs"));
  const auto call = [&](std::int64_t x, std::int64_t y, std::int64_t z) {
    const ValueVector arguments{zeros({x, 8}), zeros({y, 8}), zeros({z, 3}), zeros({8})};
    return error_of([&] { model->infer("forward", arguments); });
  };
  const std::vector<std::pair<std::pair<Status, std::string>, std::string>> cases = {
      {call(6, 4, 12), "takes 6 in dimension 0"},
      {call(4, 6, 8), "takes 4 in dimension 0"},
      {call(6, 6, 10), "takes 12 in dimension 0"},
      {call(6, 6, 13), "takes 12 in dimension 0"},
      {call(3, 3, 6), "at least 4"},
      {call(65, 65, 130), "at most 64"},
      {call(1, 64, 128), "at least 4"},
  };
  for (const auto& [error, expected] : cases) {
    EXPECT_EQ(error.first, Status::invalid_input);
    EXPECT_NE(error.second.find(expected), std::string::npos) << error.second;
  }
  EXPECT_EQ(call(4, 4, 8).second, "no error");
}

TEST(Aotinductor, InputsWhoseRowsAreComputedFromTheFirstBelongTogether) {
  const auto model = load_package("derived");
  expect_close(*model, package_calls("derived"));
  const auto call = [&](std::int64_t x, std::int64_t y, std::int64_t z) {
    const ValueVector arguments{zeros({x, 3}), zeros({y, 3}), zeros({z, 3})};
    return error_of([&] { model->infer("forward", arguments); });
  };
  EXPECT_EQ(call(2, 1, 2).second, "no error");
  for (const auto& error : {call(100, 3, 100), call(100, 50, 2), call(7, 3, 7), call(6, 4, 8)}) {
    EXPECT_EQ(error.first, Status::invalid_input) << error.second;
  }
}

TEST(Aotinductor, ThePackageMayAskForTwoRows) {
  const auto calls = package_calls("dense");
  ASSERT_EQ(arguments_of(calls[1])[0].get<Tensor>().shape[0], 1);
  const auto model = load_package("least");
  EXPECT_EQ(far(decode(calls[0]["result"]), model->infer("forward", arguments_of(calls[0]))), "");
  const auto [status, message] = error_of([&] { model->infer("forward", arguments_of(calls[1])); });
  EXPECT_EQ(status, Status::invalid_input);
  EXPECT_NE(message.find("at least 2"), std::string::npos) << message;
}

TEST(Aotinductor, AnInputThatTheModelChangesIsCopied) {
  const auto model = load_package("inputs");
  const auto calls = package_calls("inputs");
  const ValueVector arguments = arguments_of(calls[0]);
  const std::string before = bytes_of(arguments[3].get<Tensor>());
  EXPECT_EQ(far(decode(calls[0]["result"]), model->infer("forward", arguments)), "");
  EXPECT_EQ(bytes_of(arguments[3].get<Tensor>()), before);
}

TEST(Aotinductor, StridedInputsAreLaidOutAsTheCodeExpects) {
  const auto model = load_package("dense");
  const auto call = package_calls("dense")[0];
  ValueVector arguments = arguments_of(call);
  const Tensor& x = arguments[0].get<Tensor>();
  std::string transposed(x.nbytes(), '\0');
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 8; ++j) {
      std::memcpy(transposed.data() + (j * 3 + i) * 4, static_cast<float*>(x.data) + i * 8 + j, 4);
    }
  }
  Tensor columns = make_tensor(DType::float32, {8, 3}, transposed);
  columns.shape = {3, 8};
  columns.strides = {1, 3};
  arguments[0] = columns;
  EXPECT_EQ(far(decode(call["result"]), model->infer("forward", arguments)), "");
}

struct BadPackage {
  const char* name;
  Status status;
  const char* says;
};
void PrintTo(const BadPackage& bad, std::ostream* out) {
  *out << bad.name;
}

class BadPackages : public ::testing::TestWithParam<BadPackage> {};

TEST_P(BadPackages, IsRefusedAndLeavesNothing) {
  const BadPackage& bad = GetParam();
  load_package("dense");
  const auto temporary = entries("/tmp");
  const std::size_t descriptors = open_descriptors();
  ByteSourceDouble source(package_bytes(std::string("bad_") + bad.name));
  const auto [status, message] = error_of([&] { load(source, package_options()); });
  EXPECT_EQ(status, bad.status) << message;
  EXPECT_NE(message.find(bad.says), std::string::npos) << message;
  EXPECT_EQ(source.pending(), 0U);
  EXPECT_EQ(open_descriptors(), descriptors);
  for (const std::string& name : entries("/tmp")) {
    EXPECT_FALSE(!temporary.contains(name) && name.find("aoti") != std::string::npos) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadPackages,
    ::testing::Values(
        BadPackage{"truncated", Status::invalid_model, "truncated"},
        BadPackage{"no_library", Status::invalid_model, "no compiled library"},
        BadPackage{"no_metadata", Status::invalid_model, "no metadata"},
        BadPackage{"no_weights", Status::invalid_model, "weight first.weight is missing"},
        BadPackage{"no_source", Status::invalid_model, "no generated source"},
        BadPackage{"no_format", Status::invalid_model, "archive_format is missing"},
        BadPackage{"version", Status::invalid_model, "version 7"},
        BadPackage{"machine", Status::unsupported, "machines, and this is"},
        BadPackage{"instructions", Status::unsupported, "AVX1024"},
        BadPackage{"platform", Status::unsupported, "win32"},
        BadPackage{"device", Status::unsupported, "device cuda"},
        BadPackage{"torch_version", Status::unsupported, "torch 2.3.1"},
        BadPackage{"foreign_library", Status::unsupported, "another processor"},
        BadPackage{"cut_library", Status::invalid_model, "cut short"},
        BadPackage{"half_library", Status::invalid_model, "cut short"},
        BadPackage{"text_library", Status::invalid_model, "no ELF file"},
        BadPackage{"symbol", Status::unsupported, "aoti_torch_get_dIm"},
        BadPackage{"no_interface", Status::invalid_model, "AOTInductorModelContainer"},
        BadPackage{"other_source", Status::invalid_model, "is not that of its library"},
        BadPackage{"empty_source", Status::invalid_model, "doesn't describe its inputs"},
        BadPackage{"metadata_list", Status::invalid_model, "is not a JSON object"},
        BadPackage{"metadata_cut", Status::invalid_model, "is not JSON"},
        BadPackage{"short_weights", Status::invalid_model, "bytes, but the model was compiled"},
        BadPackage{"slip", Status::invalid_model, "points outside"},
        BadPackage{"absolute", Status::invalid_model, "points outside"},
        BadPackage{"two_libraries", Status::invalid_model, "has both"},
        BadPackage{"pickled_shape", Status::invalid_model,
                   "but the program was compiled with Float[16,8]"},
        BadPackage{"pickled_beyond", Status::invalid_model, "reaches beyond"},
        BadPackage{"pickled_missing", Status::invalid_model, "weight_0"},
        BadPackage{"pickled_short", Status::invalid_model, "beyond the bytes that belong to it"},
        BadPackage{"exported", Status::invalid_model, "no compiled model"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Aotinductor, DamageWhileReadingWeightsWritesNowhereLater) {
  ByteSourceDouble source(package_bytes("dense"));
  source.fail_finish = true;
  const auto [status, message] = error_of([&] { load(source, package_options()); });
  EXPECT_EQ(status, Status::corrupt);
  EXPECT_EQ(source.pending(), 0U);
}

TEST(Aotinductor, AnExportedProgramIsRefusedWithHowToCompileIt) {
  ByteSourceDouble source(package_bytes("bad_exported"));
  EXPECT_EQ(torch_engine("").detect_format(source), "torchscript");
  EngineLoadOptions options = torchscript_options();
  const auto [status, message] = error_of([&] { load(source, options); });
  EXPECT_EQ(status, Status::invalid_model);
  EXPECT_NE(message.find("torch._inductor.aoti_compile_and_package"), std::string::npos) << message;
}

TEST(Aotinductor, FormatIsFoundOut) {
  ByteSourceDouble package(package_bytes("dense"));
  EXPECT_EQ(torch_engine("").detect_format(package), "aotinductor");
  ByteSourceDouble script(model_bytes("linear"));
  EXPECT_EQ(torch_engine("").detect_format(script), "torchscript");
  ByteSourceDouble text("nothing of the kind");
  EXPECT_EQ(torch_engine("").detect_format(text), "torchscript");
}

}  // namespace
}  // namespace ptsecure::testing

#endif
