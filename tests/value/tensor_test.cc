#include "libptsecure/value/tensor.hpp"

#include <complex>
#include <cstdint>
#include <limits>

#include "tests/value/support.hpp"

namespace ptsecure {
namespace {

using test::elements_of;
using test::expect_error;
using test::floats;

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

TEST(MakeTensor, IsAlignedContiguousAndOwned) {
  for (int i = 1; i <= 16; ++i) {
    const auto dtype = static_cast<DType>(i);
    const Tensor tensor = make_tensor(dtype, Dims{3, 5});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data) % kTensorAlignment, 0u);
    EXPECT_TRUE(tensor.contiguous());
    EXPECT_EQ(tensor.nbytes(), 15 * dtype_size(dtype));
    EXPECT_EQ(tensor.strides, (Dims{5, 1}));
    EXPECT_NE(tensor.owner, nullptr);
    EXPECT_FALSE(tensor.read_only);
    EXPECT_NO_THROW(check_tensor(tensor));
  }
}

TEST(MakeTensor, TakesRankZeroAndNoElements) {
  EXPECT_EQ(make_tensor(DType::float64, Dims{}).nbytes(), 8u);
  const Tensor empty = make_tensor(DType::float32, Dims{4, 0, 2});
  EXPECT_EQ(empty.nbytes(), 0u);
  EXPECT_NE(empty.data, nullptr);
  EXPECT_TRUE(elements_of<float>(empty).empty());
}

TEST(MakeTensor, RefusesImpossibleShapes) {
  expect_error(Status::invalid_input, "negative", [] { make_tensor(DType::int8, Dims{2, -1}); });
  expect_error(Status::invalid_input, "overflows",
               [] { make_tensor(DType::float32, Dims{kHuge}); });
  expect_error(Status::invalid_input, "overflows",
               [] { make_tensor(DType::int8, Dims{kHuge, 0, kHuge}); });
  expect_error(Status::limit_exceeded, "16 dimensions", [] {
    const std::vector<std::int64_t> shape(17, 1);
    Dims{std::span<const std::int64_t>(shape)};
  });
}

#if !PTSECURE_SANITIZED
TEST(MakeTensor, ReportsWhenThereIsNoMemory) {
  expect_error(Status::out_of_memory, "bytes",
               [] { make_tensor(DType::int8, Dims{std::int64_t{1} << 60}); });
}
#endif

TEST(CopyContiguous, FollowsAnyStrides) {
  const Tensor base = floats(Dims{2, 3}, {0, 1, 2, 3, 4, 5});
  auto* data = static_cast<float*>(base.data);

  Tensor transposed = base;
  transposed.shape = Dims{3, 2};
  transposed.strides = Dims{1, 3};
  EXPECT_EQ(elements_of<float>(transposed), (std::vector<float>{0, 3, 1, 4, 2, 5}));

  Tensor broadcast = base;
  broadcast.shape = Dims{2, 3, 2};
  broadcast.strides = Dims{0, 1, 0};
  EXPECT_EQ(elements_of<float>(broadcast),
            (std::vector<float>{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2}));

  Tensor backwards = base;
  backwards.strides = Dims{-3, -1};
  backwards.data = data + 5;
  EXPECT_EQ(elements_of<float>(backwards), (std::vector<float>{5, 4, 3, 2, 1, 0}));

  Tensor scalar = base;
  scalar.shape = Dims{};
  scalar.strides = Dims{};
  scalar.data = data + 4;
  EXPECT_EQ(elements_of<float>(scalar), (std::vector<float>{4}));

  Tensor window = base;
  window.shape = Dims{2, 1, 2};
  window.strides = Dims{3, 77, 1};
  window.data = data + 1;
  EXPECT_EQ(elements_of<float>(window), (std::vector<float>{1, 2, 4, 5}));
}

TEST(CopyContiguous, CopiesEveryElementSize) {
  for (int i = 1; i <= 16; ++i) {
    const auto dtype = static_cast<DType>(i);
    const std::size_t size = dtype_size(dtype);
    Tensor tensor = make_tensor(dtype, Dims{2, 3});
    for (std::size_t byte = 0; byte < tensor.nbytes(); ++byte) {
      static_cast<std::uint8_t*>(tensor.data)[byte] = static_cast<std::uint8_t>(byte);
    }
    tensor.shape = Dims{3, 2};
    tensor.strides = Dims{1, 3};
    const Tensor copy = copy_contiguous(tensor);
    EXPECT_EQ(copy.dtype, dtype);
    EXPECT_TRUE(copy.contiguous());
    for (std::size_t row = 0; row < 3; ++row) {
      for (std::size_t column = 0; column < 2; ++column) {
        const auto* element = static_cast<std::uint8_t*>(copy.data) + (row * 2 + column) * size;
        EXPECT_EQ(element[0], (column * 3 + row) * size);
        EXPECT_EQ(element[size - 1], (column * 3 + row + 1) * size - 1);
      }
    }
  }
}

TEST(CopyContiguous, SharesNothingAndIsWritable) {
  Tensor source = floats(Dims{2}, {1, 2});
  source.read_only = true;
  const Tensor copy = copy_contiguous(source);
  EXPECT_FALSE(copy.read_only);
  static_cast<float*>(copy.data)[0] = 9;
  EXPECT_EQ(elements_of<float>(source), (std::vector<float>{1, 2}));
}

TEST(CopyContiguous, RefusesOtherDevices) {
  Tensor tensor = floats(Dims{1}, {1});
  tensor.device = {DeviceType::cuda, 0};
  expect_error(Status::unsupported, "move it to the CPU", [&] { copy_contiguous(tensor); });
  Tensor scratch;
  expect_error(Status::unsupported, "move it to the CPU",
               [&] { contiguous_bytes(tensor, scratch); });
}

TEST(ContiguousBytes, CopiesOnlyWhenItMust) {
  Tensor tensor = floats(Dims{2, 2}, {1, 2, 3, 4});
  Tensor scratch;
  EXPECT_EQ(contiguous_bytes(tensor, scratch).data(), tensor.data);
  EXPECT_EQ(scratch.owner, nullptr);
  tensor.strides = Dims{1, 2};
  EXPECT_NE(contiguous_bytes(tensor, scratch).data(), tensor.data);
}

TEST(CheckTensor, RefusesWhatNoEngineMaySee) {
  const Tensor good = floats(Dims{2, 2}, {1, 2, 3, 4});
  const auto changed = [&](const std::function<void(Tensor&)>& change) {
    Tensor tensor = good;
    change(tensor);
    return tensor;
  };
  expect_error(Status::invalid_input, "NULL",
               [&] { check_tensor(changed([](Tensor& t) { t.data = nullptr; })); });
  expect_error(Status::invalid_input, "aligned", [&] {
    check_tensor(changed([](Tensor& t) { t.data = static_cast<char*>(t.data) + 2; }));
  });
  expect_error(Status::invalid_input, "strides",
               [&] { check_tensor(changed([](Tensor& t) { t.strides = Dims{1}; })); });
  expect_error(Status::invalid_input, "overflow",
               [&] { check_tensor(changed([](Tensor& t) { t.strides = Dims{kHuge, 1}; })); });
  expect_error(Status::invalid_input, "overflow", [&] {
    check_tensor(changed([](Tensor& t) { t.strides = Dims{kHuge / 4, -kHuge / 4}; }));
  });
  expect_error(Status::invalid_input, "datatype",
               [&] { check_tensor(changed([](Tensor& t) { t.dtype = static_cast<DType>(99); })); });
  EXPECT_NO_THROW(check_tensor(changed([](Tensor& t) {
    t.shape = Dims{0, 2};
    t.data = nullptr;
  })));
}

TEST(CheckTensor, ComplexNeedsTheAlignmentOfItsParts) {
  Tensor tensor = make_tensor(DType::complex64, Dims{2});
  tensor.shape = Dims{1};
  tensor.strides = Dims{1};
  tensor.data = static_cast<char*>(tensor.data) + 4;
  EXPECT_NO_THROW(check_tensor(tensor));
  tensor.data = static_cast<char*>(tensor.data) + 2;
  expect_error(Status::invalid_input, "aligned", [&] { check_tensor(tensor); });
}

TEST(DTypeNames, GoBothWays) {
  for (int i = 1; i <= 16; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
    EXPECT_EQ(dtype_from_v2(v2_datatype(dtype)), dtype);
  }
  EXPECT_STREQ(dtype_name(DType::bfloat16), "bfloat16");
  EXPECT_STREQ(v2_datatype(DType::float16), "FP16");
  EXPECT_STREQ(v2_datatype(DType::boolean), "BOOL");
  EXPECT_STREQ(v2_datatype(DType::complex128), "COMPLEX128");
  EXPECT_EQ(dtype_from_v2("fp32"), std::nullopt);
  EXPECT_EQ(dtype_from_v2("BYTES"), std::nullopt);
  EXPECT_EQ(dtype_from_v2(""), std::nullopt);
  expect_error(Status::invalid_argument, "float32", [] { dtype_from_name("float"); });
  EXPECT_STREQ(dtype_name(static_cast<DType>(0)), "unknown");
  EXPECT_STREQ(dtype_name(static_cast<DType>(200)), "unknown");
}

TEST(Shape, AsText) {
  const Dims none;
  const Dims some = {-1, 3};
  EXPECT_EQ(shape_text(none), "[]");
  EXPECT_EQ(shape_text(some), "[-1,3]");
}

}  // namespace
}  // namespace ptsecure
