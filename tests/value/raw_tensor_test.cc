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
