// Models on a GPU. The GPU is a stand-in (stand_in/cuda.cc) where libtorch looks for its CUDA part;
// NVIDIA's own needs the hardware, and isn't tested.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "ptsecure/ptsecure.hpp"

namespace {

namespace fs = std::filesystem;

// libtorch as it is installed, but for its CUDA part.
fs::path torch_with_stand_in(const fs::path& folder) {
  const char* installed = std::getenv("PTSECURE_TORCH_DIR");
  if (installed == nullptr) throw std::runtime_error("set PTSECURE_TORCH_DIR, as ctest does");
  const fs::path lib = folder / "torch" / "lib";
  fs::create_directories(lib);
  for (const auto& entry : fs::directory_iterator(fs::path(installed) / "lib")) {
    const std::string name = entry.path().filename();
    if (name.find("cuda") == std::string::npos) fs::create_symlink(entry.path(), lib / name);
  }
  fs::create_symlink(PTSECURE_TEST_GPU, lib / "libtorch_cuda.so");
  fs::create_symlink(fs::path(installed).parent_path() / "nvidia", folder / "nvidia");
  return folder / "torch";
}

int allocations(int device) {
  void* library = dlopen(PTSECURE_TEST_GPU, RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return 0;
  void* symbol = dlsym(library, "stand_in_gpu_allocations");
  dlclose(library);
  return reinterpret_cast<int (*)(int)>(symbol)(device);
}

class Gpu : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "ptsecure-gpu-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = name;
    torch_ = torch_with_stand_in(folder_);
    pts::PublishOptions options;
    options.torch_dir = torch_;
    store().publish("digits", pts::Source::file(kDigits + "digits.pt"), keys(), options);
    std::ifstream file(kDigits + "request.json");
    request_.assign(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(allocations(0), 0);
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static pts::Model open(const std::string& device) {
    pts::OpenOptions options;
    options.device = device;
    options.torch_dir = torch_;
    return store().load("digits", keys(), options);
  }

  // A picture that lies on a device; the stand-in's memory is the host's.
  static pts::Value picture(std::int32_t type, int index) {
    static std::vector<float> pixels(64, 0.5F);
    static constexpr std::array<std::int64_t, 4> kShape{1, 1, 8, 8};
    pts_tensor tensor = PTS_TENSOR_INIT;
    tensor.dtype = PTS_DTYPE_FLOAT32;
    tensor.rank = 4;
    tensor.shape = kShape.data();
    tensor.data = pixels.data();
    tensor.device_type = type;
    tensor.device_index = index;
    return pts::Value::borrow(tensor);
  }

  static inline const std::string kDigits = PTSECURE_SOURCE_DIR "/examples/digits/";
  static inline fs::path folder_;
  static inline fs::path torch_;
  static inline std::string request_;

 private:
  static const pts::Store& store() {
    static const pts::Store opened = pts::Store::open((folder_ / "store").string());
    return opened;
  }
  static const pts::Keyring& keys() {
    static const pts::Keyring made = pts::Keyring::generate();
    return made;
  }
};

std::vector<float> numbers(const pts::Value& answer) {
  const pts_tensor tensor = answer.tensor().raw();
  std::vector<float> out(10);
  std::memcpy(out.data(), tensor.data, out.size() * sizeof(float));
  return out;
}

TEST_F(Gpu, AnswersAsTheCpuDoes) {
  const int before = allocations(0);
  const std::string there = open("cuda:1").infer_json(request_);
  EXPECT_GT(allocations(1), 0);
  EXPECT_EQ(allocations(0), before);
  EXPECT_EQ(there, open("cpu").infer_json(request_));
  EXPECT_EQ(there, open("cuda").infer_json(request_));
  EXPECT_GT(allocations(0), before);
}

TEST_F(Gpu, AnswersLieWhereTheInputsDo) {
  const pts::Model model = open("cuda:1");
  const pts::Value from_host = model(picture(PTS_DEVICE_CPU, 0));
  EXPECT_EQ(from_host.tensor().raw().device_type, PTS_DEVICE_CPU);
  const pts::Value from_device = model(picture(PTS_DEVICE_CUDA, 1));
  EXPECT_EQ(from_device.tensor().raw().device_type, PTS_DEVICE_CUDA);
  EXPECT_EQ(from_device.tensor().raw().device_index, 1);
  EXPECT_EQ(numbers(from_host), numbers(from_device));
}

TEST_F(Gpu, InputsOfAnotherDeviceAreBrought) {
  const pts::Value elsewhere = picture(PTS_DEVICE_CUDA, 0);
  const pts::Value answer = open("cuda:1")(elsewhere);
  EXPECT_EQ(answer.tensor().raw().device_index, 1);
  const pts::Value brought = open("cpu")(elsewhere);
  EXPECT_EQ(brought.tensor().raw().device_type, PTS_DEVICE_CPU);
  EXPECT_EQ(numbers(answer), numbers(brought));
}

TEST_F(Gpu, OneThatIsNotThere) {
  try {
    open("cuda:2");
    ADD_FAILURE() << "opened";
  } catch (const pts::Error& error) {
    EXPECT_EQ(error.status(), PTS_UNSUPPORTED);
    EXPECT_NE(std::string(error.what()).find("only 2 GPUs"), std::string::npos) << error.what();
  }
}

// In a process of its own: libtorch looks for its CUDA part once.
TEST_F(Gpu, IsToBeOpenedFirst) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto cpu_first = [] {
    open("cpu").infer_json(request_);
    try {
      open("cuda");
    } catch (const pts::Error& error) {
      std::cerr << error.what() << '\n';
      TearDownTestSuite();
      std::exit(error.status());
    }
  };
  EXPECT_EXIT(cpu_first(), testing::ExitedWithCode(PTS_UNSUPPORTED), "open a model on a GPU first");
}

}  // namespace
