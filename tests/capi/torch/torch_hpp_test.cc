// torch.hpp in a program that links libtorch itself: tensors change hands without a copy, and the
// plug-in uses the same libtorch.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "ptsecure/torch.hpp"

namespace {

namespace fs = std::filesystem;

TEST(TorchHpp, TensorsShareMemoryBothWays) {
  at::Tensor tensor = at::arange(6, at::kFloat).reshape({2, 3});
  const pts::Value value = pts::from_tensor(tensor);
  const pts::TensorView view = value.tensor();
  EXPECT_EQ(view.raw().data, tensor.data_ptr());
  EXPECT_EQ(view.shape(), (std::vector<std::int64_t>{2, 3}));
  const at::Tensor back = pts::to_tensor(value);
  EXPECT_EQ(back.data_ptr(), tensor.data_ptr());
  EXPECT_TRUE(at::equal(back, tensor));
  const pts::Value transposed = pts::from_tensor(tensor.t());
  EXPECT_EQ(transposed.tensor().strides(), (std::vector<std::int64_t>{1, 3}));
  EXPECT_TRUE(at::equal(pts::to_tensor(transposed), tensor.t()));
}

TEST(TorchHpp, MemoryLivesAsLongAsEitherSide) {
  at::Tensor back;
  {
    const pts::Value value = pts::from_tensor(at::full({1000}, 7, at::kLong));
    back = pts::to_tensor(value);
  }
  EXPECT_EQ(back.sum().item<std::int64_t>(), 7000);
  int released = 0;
  std::vector<double> data(4, 0.5);
  at::Tensor tensor = pts::to_tensor(pts::Value::borrow(data.data(), {4}, [&] { ++released; }));
  EXPECT_EQ(tensor.data_ptr(), data.data());
  EXPECT_EQ(released, 0);
  tensor.reset();
  EXPECT_EQ(released, 1);
}

TEST(TorchHpp, EveryDatatype) {
  for (const at::ScalarType type :
       {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kHalf, at::kBFloat16,
        at::kFloat, at::kDouble, at::kComplexFloat, at::kComplexDouble, at::kUInt16, at::kUInt32,
        at::kUInt64, at::kComplexHalf}) {
    const at::Tensor tensor = at::empty({2, 3}, type);
    const at::Tensor back = pts::to_tensor(pts::from_tensor(tensor));
    EXPECT_EQ(back.scalar_type(), type);
    EXPECT_EQ(back.data_ptr(), tensor.data_ptr());
  }
}

TEST(TorchHpp, WhatValuesCannotHoldIsRefused) {
  EXPECT_THROW(pts::from_tensor(at::ones({2}).to_sparse()), c10::Error);
  EXPECT_THROW(pts::from_tensor(at::empty({2}, at::kFloat8_e4m3fn)), pts::Error);
  EXPECT_THROW(pts::to_tensor(pts::Value::list()), pts::Error);
  EXPECT_THROW(pts::to_tensor(pts::Value::string("text")), pts::Error);
}

TEST(TorchHpp, ViewsThatAreNoPlainMemoryAreResolved) {
  const at::Tensor conjugate = at::full({2}, c10::complex<float>(1, 2)).conj();
  const at::Tensor back = pts::to_tensor(pts::from_tensor(conjugate));
  EXPECT_TRUE(at::equal(back, conjugate.resolve_conj()));
  at::Tensor learned = at::ones({2});
  learned.set_requires_grad(true);
  EXPECT_FALSE(pts::to_tensor(pts::from_tensor(learned)).requires_grad());
}

TEST(TorchHpp, ReadOnlyMemoryGoesIn) {
  const float constant[] = {1, 2};
  const at::Tensor tensor = pts::to_tensor(pts::Value::borrow(constant, {2}));
  EXPECT_EQ(tensor.data_ptr(), constant);
}

// How many times a file with this name is mapped with execute permission.
int mappings(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  int found = 0;
  while (std::getline(maps, line)) {
    found += line.find(name) != std::string::npos && line.find("r-xp") != std::string::npos;
  }
  return found;
}

TEST(TorchHpp, ModelsRunOnTheProgramsOwnLibtorch) {
  std::string name = (fs::temp_directory_path() / "ptsecure-torch-XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  const int before = mappings("libtorch_cpu.so");
  const pts::Keyring keys = pts::Keyring::generate();
  const pts::Store store = pts::Store::open(name);
  store.publish("digits", pts::Source::file(PTSECURE_SOURCE_DIR "/examples/digits/digits.pt"),
                keys);
  const pts::Model model = store.load("digits", keys);
  EXPECT_EQ(mappings("libtorch_cpu.so"), before);
  EXPECT_GT(before, 0);
  const at::Tensor answer = pts::to_tensor(model(pts::from_tensor(at::rand({3, 1, 8, 8}))));
  EXPECT_EQ(answer.sizes().vec(), (std::vector<std::int64_t>{3, 10}));
  EXPECT_TRUE(at::allclose(answer.sum(1), at::ones({3})));
  fs::remove_all(name);
}

}  // namespace
