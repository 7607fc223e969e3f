#include "libptsecure/value/npy.hpp"

#include <complex>

#include "tests/value/support.hpp"

namespace ptsecure {
namespace {

using test::elements_of;
using test::expect_error;
using test::floats;

// A .npy file with this header, padded as NumPy pads it.
Bytes file_with(const std::string& header, const std::string& data, int version = 1) {
  const std::size_t prefix = version == 1 ? 10 : 12;
  std::string text = header;
  text.append((64 - (prefix + text.size() + 1) % 64) % 64, ' ');
  text += '\n';
  std::string file("\x93NUMPY", 6);
  file += static_cast<char>(version);
  file += '\0';
  file += static_cast<char>(text.size() & 0xff);
  file += static_cast<char>(text.size() >> 8);
  if (version > 1) file += std::string(2, '\0');
  file += text + data;
  return Bytes(file.begin(), file.end());
}

std::string header_of(const std::string& descr, const std::string& shape,
                      const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

template <class T>
std::string data_of(std::initializer_list<T> elements) {
  return {reinterpret_cast<const char*>(elements.begin()), elements.size() * sizeof(T)};
}

void expect_refused(Status status, const std::string& part, const Bytes& file) {
  expect_error(status, part, [&] { read_npy(file); });
}

TEST(ReadNpy, ReadsWhatNumpyWrites) {
  // numpy.save of numpy.array([[1, 2, 3], [4, 5, 6]], dtype='<i2'), byte for byte.
  const std::string header =
      "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }                                "
      "                          \n";
  std::string file("\x93NUMPY\x01\x00\x76\x00", 10);
  file += header + data_of<std::int16_t>({1, 2, 3, 4, 5, 6});
  ASSERT_EQ(header.size(), 0x76u);
  const Tensor tensor = read_npy(as_bytes(file));
  EXPECT_EQ(tensor.dtype, DType::int16);
  EXPECT_EQ(tensor.shape, (Dims{2, 3}));
  EXPECT_EQ(elements_of<std::int16_t>(tensor), (std::vector<std::int16_t>{1, 2, 3, 4, 5, 6}));
}

TEST(ReadNpy, FortranOrderIsAMatterOfStrides) {
  const Tensor tensor =
      read_npy(file_with(header_of("<f4", "(2, 3)", "True"), data_of<float>({0, 3, 1, 4, 2, 5})));
  EXPECT_EQ(tensor.shape, (Dims{2, 3}));
  EXPECT_EQ(tensor.strides, (Dims{1, 2}));
  EXPECT_EQ(elements_of<float>(tensor), (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

TEST(ReadNpy, TakesEveryVersionAndSpelling) {
  for (const int version : {1, 2, 3}) {
    EXPECT_EQ(read_npy(file_with(header_of("<f8", "(1,)"), data_of<double>({7}), version)).shape,
              Dims{1});
  }
  const std::string data = data_of<float>({1, 2});
  for (const char* header :
       {"{'shape':(2,),'fortran_order':False,'descr':'<f4'}",
        "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2L,)}",
        " { 'descr' : '=f4' , 'fortran_order' : True , 'shape' : ( 2 , ) , } "}) {
    EXPECT_EQ(elements_of<float>(read_npy(file_with(header, data))), (std::vector<float>{1, 2}))
        << header;
  }
  EXPECT_EQ(read_npy(file_with(header_of("|u1", "()"), "\x05")).shape, Dims{});
  EXPECT_EQ(read_npy(file_with(header_of(">u1", "(1,)"), "\x05")).dtype, DType::uint8);
  EXPECT_EQ(read_npy(file_with(header_of("<f4", "(3, 0, 2)"), "")).numel(), 0);
}

TEST(ReadNpy, BooleansAreZeroOrOne) {
  const Tensor tensor = read_npy(file_with(header_of("|b1", "(3,)"), std::string("\0\x01\xff", 3)));
  EXPECT_EQ(elements_of<std::uint8_t>(tensor), (std::vector<std::uint8_t>{0, 1, 1}));
}

TEST(ReadNpy, SaysWhatToDoWithOtherArrays) {
  expect_refused(Status::unsupported, "newbyteorder('<')",
                 file_with(header_of(">f4", "(1,)"), "abcd"));
  expect_refused(Status::unsupported, "newbyteorder", file_with(header_of(">O", "(1,)"), "abcd"));
  expect_refused(Status::unsupported, "never unpickled",
                 file_with(header_of("|O", "(1,)"), "abcdefgh"));
  expect_refused(Status::unsupported, "astype", file_with(header_of("<U3", "(1,)"), "abcd"));
  expect_refused(Status::unsupported, "astype", file_with(header_of("<V2", "(1,)"), "ab"));
  expect_refused(Status::unsupported, "astype", file_with(header_of("", "(1,)"), "ab"));
  expect_refused(Status::unsupported, "astype", file_with(header_of("f4", "(1,)"), "abcd"));
  expect_refused(Status::unsupported, "astype", file_with(header_of("<M8[ns]", "(1,)"), "abcd"));
  expect_refused(
      Status::unsupported, "structured",
      file_with("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "abcd"));
  expect_refused(Status::unsupported, "format version 4.0",
                 file_with(header_of("<f4", "(1,)"), "abcd", 4));
  expect_refused(Status::invalid_input, "no .npy file", {});
  expect_refused(Status::invalid_input, "no .npy file", {'P', 'K', 3, 4});
}

TEST(ReadNpy, RefusesDamagedData) {
  const auto sized = [](const std::string& shape) {
    return file_with(header_of("<f4", shape), "abcd");
  };
  expect_refused(Status::invalid_input, "8 bytes of data, but there are 4", sized("(2,)"));
  expect_refused(Status::invalid_input, "0 bytes of data, but there are 4", sized("(0,)"));
  expect_refused(Status::invalid_input, "overflows", sized("(4611686018427387904, 4)"));
  expect_refused(Status::invalid_input, "overflows", sized("(0, 9223372036854775807, 9)"));
  expect_refused(Status::invalid_input, "too large", sized("(9223372036854775808,)"));
  expect_refused(Status::invalid_input, "whole numbers", sized("(-1,)"));
  expect_refused(Status::limit_exceeded, "16 dimensions",
                 sized("(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)"));
}

TEST(ReadNpy, RefusesDamagedHeaders) {
  const auto refused = [](const std::string& header) {
    EXPECT_THROW(read_npy(file_with(header, "abcd")), Error) << header;
  };
  refused("");
  refused("{}");
  refused("{'descr': '<f4', 'fortran_order': False}");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x");
  refused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}");
  refused("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1)}");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': [1]}");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (,)}");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}");
  refused("{'descr': '<f4\\'', 'fortran_order': False, 'shape': (1,)}");
  refused("{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}");
  refused("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}");
  refused("{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}");
}

TEST(ReadNpy, RefusesEveryTruncation) {
  const Bytes file = file_with(header_of("<f4", "(2,)"), data_of<float>({1, 2}));
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_THROW(read_npy(ByteView(file).first(size)), Error) << size;
  }
  Bytes longer = file;
  longer.push_back(0);
  EXPECT_THROW(read_npy(longer), Error);
  Bytes long_header = file;
  long_header[6] = 2;
  EXPECT_THROW(read_npy(long_header), Error);
}

TEST(WriteNpy, GoesBothWays) {
  for (int i = 1; i <= 16; ++i) {
    const auto dtype = static_cast<DType>(i);
    for (const Dims& shape : {Dims{}, Dims{3}, Dims{0}, Dims{2, 3}, Dims{1, 0, 5}}) {
      Tensor tensor = make_tensor(dtype, shape);
      std::memset(tensor.data, 1, tensor.nbytes());
      if (dtype == DType::bfloat16 || dtype == DType::complex32) {
        expect_error(Status::unsupported, dtype_name(dtype), [&] { write_npy(tensor); });
        continue;
      }
      const Bytes file = write_npy(tensor);
      EXPECT_EQ((file.size() - tensor.nbytes()) % 64, 0u);
      const Tensor back = read_npy(file);
      EXPECT_EQ(back.dtype, dtype);
      EXPECT_EQ(back.shape, shape);
      EXPECT_EQ(elements_of<std::uint8_t>(back), elements_of<std::uint8_t>(tensor));
    }
  }
}

TEST(WriteNpy, WritesAnyStridesInCOrder) {
  Tensor tensor = floats(Dims{2, 2}, {1, 2, 3, 4});
  tensor.strides = Dims{1, 2};
  const Tensor back = read_npy(write_npy(tensor));
  EXPECT_TRUE(back.contiguous());
  EXPECT_EQ(elements_of<float>(back), (std::vector<float>{1, 3, 2, 4}));
}

}  // namespace
}  // namespace ptsecure
