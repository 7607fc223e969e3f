#include "libptsecure/value/raw_tensor.hpp"

#include "tests/value/support.hpp"

namespace ptsecure {
namespace {

using test::elements_of;
using test::expect_error;

TEST(RawTensor, GoesBothWays) {
  for (int i = 1; i <= 16; ++i) {
    const auto dtype = static_cast<DType>(i);
    Tensor tensor = make_tensor(dtype, Dims{2, 2});
    std::memset(tensor.data, 1, tensor.nbytes());
    Bytes raw;
    append_raw(raw, tensor);
    EXPECT_EQ(raw.size(), tensor.nbytes());
    const Tensor back = raw_to_tensor(dtype, Dims{2, 2}, raw);
    EXPECT_EQ(elements_of<std::uint8_t>(back), elements_of<std::uint8_t>(tensor));
  }
}

TEST(RawTensor, IsLittleEndianAndRowMajor) {
  Tensor tensor = test::tensor_of<std::uint16_t>(DType::uint16, Dims{2, 2}, {1, 2, 3, 0x0405});
  tensor.strides = Dims{1, 2};
  Bytes raw;
  append_raw(raw, tensor);
  EXPECT_EQ(raw, (Bytes{1, 0, 3, 0, 2, 0, 5, 4}));
}

TEST(RawTensor, BytesMustBeAsManyAsTheShapeSays) {
  const Bytes raw(8);
  EXPECT_EQ(raw_to_tensor(DType::float32, Dims{2}, raw).numel(), 2);
  EXPECT_EQ(raw_to_tensor(DType::float32, Dims{0, 9}, {}).numel(), 0);
  expect_error(Status::invalid_input, "12 bytes, but there are 8",
               [&] { raw_to_tensor(DType::float32, Dims{3}, raw); });
  expect_error(Status::invalid_input, "4 bytes",
               [&] { raw_to_tensor(DType::float32, Dims{}, raw); });
  expect_error(Status::invalid_input, "overflows",
               [&] { raw_to_tensor(DType::float64, Dims{std::int64_t{1} << 61}, raw); });
  expect_error(Status::invalid_input, "negative",
               [&] { raw_to_tensor(DType::uint8, Dims{-8}, raw); });
}

TEST(RawTensor, BooleansBecomeZeroOrOne) {
  const Tensor tensor = raw_to_tensor(DType::boolean, Dims{3}, Bytes{0, 2, 255});
  EXPECT_EQ(elements_of<std::uint8_t>(tensor), (std::vector<std::uint8_t>{0, 1, 1}));
}

TEST(RawTensor, LiesInTheBytesWhereTheyAreAligned) {
  struct Owner : TensorOwner {
    explicit Owner(int& count) : gone(count) {}
    ~Owner() override { ++gone; }
    int& gone;
  };
  int gone = 0;
  alignas(8) std::uint8_t memory[16] = {1};
  const ByteView bytes(memory);
  auto owner = std::make_shared<Owner>(gone);
  {
    const Tensor whole = raw_to_tensor(DType::int32, Dims{2, 2}, bytes, owner);
    EXPECT_EQ(whole.data, memory);
    EXPECT_EQ(whole.strides, (Dims{2, 1}));
    EXPECT_FALSE(whole.read_only);
    owner.reset();
    EXPECT_EQ(gone, 0);
    EXPECT_EQ(elements_of<std::int32_t>(whole), (std::vector<std::int32_t>{1, 0, 0, 0}));
  }
  EXPECT_EQ(gone, 1);
  for (const auto& [dtype, from, size] :
       {std::tuple{DType::int32, 2, 8}, {DType::float64, 4, 8}, {DType::boolean, 0, 8}}) {
    const ByteView part = bytes.subspan(static_cast<std::size_t>(from), 8);
    const std::int64_t count = size / static_cast<std::int64_t>(dtype_size(dtype));
    const Tensor copy = raw_to_tensor(dtype, Dims{count}, part, std::make_shared<Owner>(gone));
    EXPECT_NE(copy.data, part.data());
  }
  EXPECT_EQ(gone, 4);
  expect_error(Status::invalid_input, "20 bytes, but there are 16",
               [&] { raw_to_tensor(DType::int32, Dims{5}, bytes, std::make_shared<Owner>(gone)); });
}

TEST(RawTensor, AlignedBytesAreNeverCopied) {
  struct Owner : TensorOwner {};
  alignas(kRawAlignment) const std::array<std::uint8_t, 16> bytes{};
  for (int number = 1; number <= 16; ++number) {
    const auto dtype = static_cast<DType>(number);
    if (dtype == DType::boolean) continue;  // its bytes may have to change
    const std::int64_t count = 16 / static_cast<std::int64_t>(dtype_size(dtype));
    EXPECT_EQ(raw_to_tensor(dtype, Dims{count}, bytes, std::make_shared<Owner>()).data,
              bytes.data())
        << v2_datatype(dtype);
  }
}

TEST(RawStrings, GoBothWays) {
  const std::vector<std::string> words = {"", "ab", std::string("\0\xff", 2)};
  Bytes raw;
  append_raw(raw, words);
  EXPECT_EQ(raw, (Bytes{0, 0, 0, 0, 2, 0, 0, 0, 'a', 'b', 2, 0, 0, 0, 0, 0xff}));
  EXPECT_EQ(raw_to_strings(raw, 3), words);
  EXPECT_TRUE(raw_to_strings({}, 0).empty());
}

TEST(RawStrings, RefuseWhatDoesNotAddUp) {
  const Bytes raw = {2, 0, 0, 0, 'a', 'b'};
  const auto refused = [](const Bytes& bytes, std::int64_t count) {
    EXPECT_THROW(raw_to_strings(bytes, count), Error) << bytes.size() << " " << count;
  };
  refused(raw, 0);
  refused(raw, 2);
  refused(raw, -1);
  refused(raw, INT64_MAX);
  refused({}, 1);
  refused({1, 0, 0}, 1);
  refused({3, 0, 0, 0, 'a', 'b'}, 1);
  refused({255, 255, 255, 255, 'a', 'b'}, 1);
  refused({1, 0, 0, 0, 'a', 'b'}, 1);
  refused({0, 0, 0, 0, 9, 0, 0, 0}, 2);
}

}  // namespace
}  // namespace ptsecure
