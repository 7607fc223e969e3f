#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "tests/engine/packages.hpp"

#if PTSECURE_WITH_TORCH

// Programs that stay while their weights change.
namespace ptsecure::testing {
namespace {

std::string weights_bytes(const std::string& name) {
  return read_file(package_folder() / name);
}

std::unique_ptr<EngineModel> load_with(const std::string& weights,
                                       const std::string& program = "dense") {
  ByteSourceDouble source(package_bytes(program));
  ByteSourceDouble other(weights);
  EngineLoadOptions options = package_options();
  options.weights = &other;
  auto model = load(source, options);
  EXPECT_EQ(other.finishes, 1);
  EXPECT_EQ(source.finishes, 1);
  return model;
}

// A safetensors file of this header and so many bytes of zeros.
std::string safetensors(const std::string& header, std::size_t data) {
  std::string bytes;
  for (std::size_t i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>(header.size() >> 8 * i & 0xff));
  }
  return bytes + header + std::string(data, '\0');
}

TEST(AotiWeights, OtherWeightsAnswerAsTheirOwnModelDoes) {
  for (const char* file : {"tuned_weights.safetensors", "tuned_weights.pt"}) {
    for (const char* program : {"dense", "pickled"}) {
      SCOPED_TRACE(std::string(file) + " " + program);
      expect_close(*load_with(weights_bytes(file), program), package_calls("tuned"));
    }
  }
}

TEST(AotiWeights, AStateDictAsItIsSaved) {
  expect_close(*load_with(weights_bytes("dense_weights.pt")), package_calls("dense"));
  expect_close(*load_with(weights_bytes("sequential_weights.pt"), "sequential"),
               package_calls("sequential"));
}

TEST(AotiWeights, TheProgramsOwnWeightsAreNotReadWhenOthersAreGiven) {
  ByteSourceDouble source(package_bytes("dense"));
  ByteSourceDouble other(weights_bytes("tuned_weights.safetensors"));
  EngineLoadOptions options = package_options();
  options.weights = &other;
  load(source, options);
  EXPECT_LE(source.bytes_deferred, 64U) << "the buffer, which may be left out later";
}

// A file of weights, taken apart and put together again.
struct Parts {
  explicit Parts(const std::string& whole) {
    std::uint64_t length = 0;
    std::memcpy(&length, whole.data(), 8);
    header = nlohmann::json::parse(whole.substr(8, length));
    data = whole.substr(8 + length);
  }
  std::string file() const { return safetensors(header.dump(), 0) + data; }
  std::size_t offset(const char* name, int end) const {
    return header.at(name).at("data_offsets").at(static_cast<std::size_t>(end)).get<std::size_t>();
  }
  nlohmann::json header;
  std::string data;
};

std::string without_scale() {
  Parts parts(weights_bytes("tuned_weights.safetensors"));
  const std::size_t begin = parts.offset("scale", 0);
  const std::size_t size = parts.offset("scale", 1) - begin;
  parts.data.erase(begin, size);
  parts.header.erase("scale");
  for (auto& [name, entry] : parts.header.items()) {
    if (name == "__metadata__" || entry["data_offsets"][0] < begin) continue;
    for (auto& offset : entry["data_offsets"]) offset = offset.get<std::size_t>() - size;
  }
  return parts.file();
}

TEST(AotiWeights, BuffersMayBeLeftOut) {
  expect_close(*load_with(without_scale()), package_calls("tuned"));
}

TEST(AotiWeights, WhatIsLeftOutIsThePackagesOwnHoweverOneGotThere) {
  Parts other(weights_bytes("tuned_weights.safetensors"));
  other.data.replace(other.offset("scale", 0), 16, 16, '\0');  // multiplies by nothing
  const auto opened = load_with(other.file());
  const auto swapped = load_package("dense");
  ByteSourceDouble first(other.file());
  swapped->replace_weights(first, false);
  for (EngineModel* model : {opened.get(), swapped.get()}) {
    const nlohmann::json call = package_calls("tuned")[0];
    EXPECT_NE(far(decode(call["result"]), model->infer("forward", arguments_of(call))), "");
    ByteSourceDouble second(without_scale());
    model->replace_weights(second, false);
    expect_close(*model, package_calls("tuned"));
  }
}

TEST(AotiWeights, StateStartsAnewWithOtherWeights) {
  const auto model = load_package("counter");
  expect_close(*model, package_calls("counter"));
  ByteSourceDouble same(weights_bytes("counter_weights.safetensors"));
  model->replace_weights(same, false);
  expect_close(*model, package_calls("counter"));
}

TEST(AotiWeights, AForkThatKeepsStateKeepsItsWeights) {
  const auto model = load_package("counter");
  const auto fork = model->fork();
  Parts other(weights_bytes("counter_weights.safetensors"));
  other.data.assign(other.data.size(), '\0');
  ByteSourceDouble none(other.file());
  model->replace_weights(none, false);
  // Whatever was let go is used by others now.
  std::vector<std::string> others;
  for (std::size_t size = 16; size <= 65536; size *= 2) {
    for (int i = 0; i < 20; ++i) others.emplace_back(size, 'x');
  }
  expect_close(*fork, package_calls("counter"));
  // What a file of weights leaves out is the package's own in a fork too.
  ByteSourceDouble same(weights_bytes("counter_weights.safetensors"));
  fork->replace_weights(same, false);
  expect_close(*fork, package_calls("counter"));
}

TEST(AotiWeights, AWeightOfNoKnownKindMayNotBeLeftOut) {
  expect_close(*load_package("sequential"), package_calls("sequential"));
  expect_close(*load_with(weights_bytes("sequential_weights.safetensors"), "sequential"),
               package_calls("sequential"));
  const auto [status, message] = error_of(
      [] { load_with(weights_bytes("sequential_without_one.safetensors"), "sequential"); });
  EXPECT_EQ(status, Status::invalid_model);
  EXPECT_NE(message.find("no 0.weight"), std::string::npos) << message;
}

TEST(AotiWeights, ReplacedInPlaceAndBack) {
  const auto model = load_package("dense");
  const auto shares = model->fork();
  for (int round = 0; round < 3; ++round) {
    ByteSourceDouble tuned(
        weights_bytes(round % 2 == 0 ? "tuned_weights.safetensors" : "tuned_weights.pt"));
    model->replace_weights(tuned, false);
    EXPECT_EQ(tuned.finishes, 1);
    expect_close(*model, package_calls("tuned"));
    expect_close(*shares, package_calls("tuned"));
    ByteSourceDouble own(package_bytes("dense"));
    model->replace_weights(own, true);
    expect_close(*model, package_calls("dense"));
  }
}

// Runs a model from several threads and counts what it answers.
class Callers {
 public:
  explicit Callers(EngineModel& model)
      : arguments_(arguments_of(package_calls("dense")[0])),
        old_(decode(package_calls("dense")[0]["result"])),
        new_(decode(package_calls("tuned")[0]["result"])) {
    for (int t = 0; t < 3; ++t) {
      threads_.emplace_back([this, &model] {
        while (!stop_) {
          const Value answer = model.infer("forward", arguments_);
          ++(far(old_, answer).empty()   ? old_seen
             : far(new_, answer).empty() ? new_seen
                                         : other_seen);
        }
      });
    }
  }
  ~Callers() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  // Whether the count has grown by `more` within a time that no machine needs.
  static bool grows(const std::atomic<int>& count, int more) {
    const int before = count;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (count < before + more) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

  std::atomic<int> old_seen{0}, new_seen{0}, other_seen{0};

 private:
  const ValueVector arguments_;
  const Value old_;
  const Value new_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

TEST(AotiWeights, ReplacedWhileRunning) {
  const auto model = load_package("dense");
  Callers callers(*model);
  for (int round = 0; round < 10; ++round) {
    ByteSourceDouble tuned(weights_bytes("tuned_weights.safetensors"));
    model->replace_weights(tuned, false);
    EXPECT_TRUE(Callers::grows(callers.new_seen, 3));
    ByteSourceDouble own(package_bytes("dense"));
    model->replace_weights(own, true);
    EXPECT_TRUE(Callers::grows(callers.old_seen, 3));
  }
  EXPECT_EQ(callers.other_seen, 0);
}

TEST(AotiWeights, RunsGoOnWhileTheNewOnesAreDecrypted) {
  const auto model = load_package("dense");
  Callers callers(*model);
  SlowSource tuned(weights_bytes("tuned_weights.safetensors"),
                   [&] { EXPECT_TRUE(Callers::grows(callers.old_seen, 20)); });
  model->replace_weights(tuned, false);
  EXPECT_TRUE(Callers::grows(callers.new_seen, 3));
  EXPECT_EQ(callers.other_seen, 0);
}

// Every mapping of memory that holds compiled code.
std::string code_in_memory() {
  std::ifstream maps("/proc/self/maps");
  std::string line, found;
  while (std::getline(maps, line)) {
    if (line.find("memfd:ptsecure") != std::string::npos) found += line + "\n";
  }
  return found;
}

TEST(AotiWeights, TheCodeStaysWhereItIs) {
  const auto model = load_package("dense");
  const std::string before = code_in_memory();
  ASSERT_NE(before, "");
  ByteSourceDouble tuned(weights_bytes("tuned_weights.safetensors"));
  model->replace_weights(tuned, false);
  const auto beside = load_with(weights_bytes("tuned_weights.pt"));
  EXPECT_EQ(code_in_memory(), before);
}

struct BadWeights {
  const char* name;
  std::string bytes;
  const char* says;
};

TEST(AotiWeights, BadOnesAreRefusedAndChangeNothing) {
  const std::string whole = weights_bytes("tuned_weights.safetensors");
  const auto entry = [](const char* dtype, const char* shape, int begin, int end) {
    return R"({"first.weight":{"dtype":")" + std::string(dtype) + R"(","shape":)" + shape +
           R"(,"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}}";
  };
  std::string renamed = whole;
  renamed.replace(renamed.find("first.weight"), 12, "FIRST.weight");
  std::string transposed = whole;
  transposed.replace(transposed.find("[16, 8]"), 7, "[8, 16]");
  std::string retyped = whole;
  retyped.replace(retyped.find("\"F32\", \"shape\": [16, 8]"), 5, "\"I32\"");
  const std::vector<BadWeights> cases = {
      {"empty", "", "8 bytes"},
      {"long header", std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8) + "{}", "would be"},
      {"no JSON", safetensors("[1, 2", 0), "not a JSON object"},
      {"list", safetensors("[1, 2]", 0), "not a JSON object"},
      {"twice", safetensors(R"({"a":1,"a":2})", 0), "twice"},
      {"no dtype", safetensors(R"({"a":{"shape":[],"data_offsets":[0,0]}})", 0), "needs a dtype"},
      {"outside", safetensors(entry("F32", "[16,8]", 0, 512), 500), "lies outside"},
      {"backwards", safetensors(entry("F32", "[16,8]", 512, 0), 512), "lies outside"},
      {"size", safetensors(entry("F32", "[16,8]", 0, 510), 510), "not that of its shape"},
      {"gap", safetensors(entry("F32", "[16,8]", 4, 516), 516), "or to none"},
      {"tail", safetensors(entry("F32", "[16,8]", 0, 512), 516), "no tensor"},
      {"overflow", safetensors(entry("F32", "[4611686018427387904,16]", 0, 512), 512), "too large"},
      {"negative", safetensors(entry("F32", "[-16,8]", 0, 512), 512), "no whole number"},
      {"renamed", renamed, "takes no weight FIRST.weight"},
      {"shape", transposed, "first.weight is Float[8,16]"},
      {"dtype", retyped, "first.weight is Int[16,8]"},
      {"one of many", safetensors(entry("F32", "[16,8]", 0, 512), 512), "no first.bias"},
      {"torchscript", model_bytes("linear"), "no torch.save of a state_dict"},
      {"module", model_bytes("bad_pickled_module"), "LinearPair"},
      {"cut", weights_bytes("tuned_weights.pt").substr(0, 700), "truncated"},
      {"short record", weights_bytes("short_weights.pt"), "beyond the bytes that belong to it"},
      {"far strides", weights_bytes("reaching_weights.pt"), "require a storage"},
  };
  const auto model = load_package("dense");
  for (const auto& [name, bytes, says] : cases) {
    SCOPED_TRACE(name);
    ByteSourceDouble other(bytes);
    const auto [status, message] = error_of([&] { model->replace_weights(other, false); });
    EXPECT_EQ(status, Status::invalid_model) << message;
    EXPECT_NE(message.find(says), std::string::npos) << message;
    EXPECT_EQ(other.pending(), 0U);
    EXPECT_EQ(other.finishes, 0);
  }
  ByteSourceDouble damaged(whole);
  damaged.fail_finish = true;
  EXPECT_EQ(error_of([&] { model->replace_weights(damaged, false); }).first, Status::corrupt);
  EXPECT_EQ(damaged.pending(), 0U);
  expect_close(*model, package_calls("dense"));
}

TEST(AotiWeights, TorchScriptTakesNone) {
  ByteSourceDouble source(model_bytes("linear"));
  ByteSourceDouble other(weights_bytes("tuned_weights.safetensors"));
  EngineLoadOptions options = torchscript_options();
  options.weights = &other;
  EXPECT_EQ(error_of([&] { load(source, options); }).first, Status::unsupported);
  const auto model = load("linear");
  EXPECT_EQ(error_of([&] { model->replace_weights(other, false); }).first, Status::unsupported);
}

}  // namespace
}  // namespace ptsecure::testing

#endif
