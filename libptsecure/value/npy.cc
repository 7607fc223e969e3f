#include "libptsecure/value/npy.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "libptsecure/base/text.hpp"
#include "libptsecure/value/raw_tensor.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::size_t kAlignment = 64;  // of the data in a file that is written
constexpr std::size_t kLongestHeader = 1u << 16;

struct NpyDType {
  DType dtype;
  std::string_view descr;
};

constexpr std::array<NpyDType, 14> kNpyDTypes = {{
    {DType::boolean, "|b1"},
    {DType::uint8, "|u1"},
    {DType::uint16, "<u2"},
    {DType::uint32, "<u4"},
    {DType::uint64, "<u8"},
    {DType::int8, "|i1"},
    {DType::int16, "<i2"},
    {DType::int32, "<i4"},
    {DType::int64, "<i8"},
    {DType::float16, "<f2"},
    {DType::float32, "<f4"},
    {DType::float64, "<f8"},
    {DType::complex64, "<c8"},
    {DType::complex128, "<c16"},
}};

[[noreturn]] void damaged(const std::string& what) {
  throw Error(Status::invalid_input, "the .npy file is damaged: " + what);
}

DType dtype_from_descr(std::string_view descr) {
  const std::string_view type = descr.substr(descr.empty() ? 0 : 1);
  if (descr.starts_with('>') && type != "b1" && type != "u1" && type != "i1") {
    throw Error(Status::unsupported,
                "the .npy file holds big-endian numbers (" + printable_name(descr) +
                    "): save it again with numpy.save(path, a.astype(a.dtype.newbyteorder('<')))");
  }
  if (type.starts_with('O')) {
    throw Error(Status::unsupported,
                "the .npy file holds Python objects, which are never unpickled: save an array of "
                "numbers");
  }
  const bool order_known = !descr.empty() && std::string_view("<|=>").find(descr[0]) < 4;
  for (const NpyDType& entry : kNpyDTypes) {
    if (order_known && entry.descr.substr(1) == type) return entry.dtype;
  }
  throw Error(Status::unsupported, "the .npy file's element type `" + printable_name(descr) +
                                       "` has no tensor datatype: convert the array with astype");
}

// What the header of a .npy file says: the literal of a Python dict with three known keys.
struct Header {
  std::string descr;
  bool fortran_order = false;
  Dims shape;
};

// Reads that literal and nothing else of Python.
class HeaderScanner {
 public:
  explicit HeaderScanner(std::string_view text) : rest_(text) {}

  Header read() {
    Header header;
    bool seen_descr = false;
    bool seen_order = false;
    bool seen_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !seen_descr) {
        header.descr = descr();
        seen_descr = true;
      } else if (key == "fortran_order" && !seen_order) {
        header.fortran_order = boolean();
        seen_order = true;
      } else if (key == "shape" && !seen_shape) {
        header.shape = tuple();
        seen_shape = true;
      } else {
        damaged("its header has a key twice or one that isn't known");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty() || !seen_descr || !seen_order || !seen_shape) {
      damaged("its header must hold descr, fortran_order and shape and nothing else");
    }
    return header;
  }

 private:
  void skip_space() {
    const std::size_t first = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(std::min(first, rest_.size()));
  }

  bool accept(char wanted) {
    skip_space();
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) damaged(std::string("its header lacks a `") + wanted + "`");
  }

  std::string_view string() {
    skip_space();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) {
      damaged("its header lacks a quoted word");
    }
    const std::size_t end = rest_.find(rest_[0], 1);
    if (end == std::string_view::npos) damaged("its header has an open quote");
    const std::string_view word = rest_.substr(1, end - 1);
    if (word.find('\\') != std::string_view::npos) damaged("its header has an escape");
    rest_.remove_prefix(end + 1);
    return word;
  }

  std::string descr() {
    skip_space();
    if (rest_.starts_with('[')) {
      throw Error(Status::unsupported,
                  "the .npy file holds a structured array: save its fields one by one");
    }
    return std::string(string());
  }

  bool boolean() {
    skip_space();
    for (const std::string_view word : {std::string_view("True"), std::string_view("False")}) {
      if (rest_.starts_with(word)) {
        rest_.remove_prefix(word.size());
        return word == "True";
      }
    }
    damaged("fortran_order must be True or False");
  }

  std::int64_t extent() {
    skip_space();
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, rest_[digits] - '0', &value)) {
        damaged("an extent of its shape is too large");
      }
    }
    if (digits == 0) damaged("its shape must be a tuple of whole numbers");
    rest_.remove_prefix(digits);
    accept('L');  // as Python 2 wrote it
    return value;
  }

  Dims tuple() {
    std::array<std::int64_t, Dims::kMaxRank> extents{};
    std::size_t rank = 0;
    bool comma = true;
    expect('(');
    while (!accept(')')) {
      if (!comma) damaged("its shape lacks a comma");
      if (rank == extents.size()) {
        throw Error(Status::limit_exceeded, "the .npy file's array has more than 16 dimensions");
      }
      extents[rank++] = extent();
      comma = accept(',');
    }
    if (rank == 1 && !comma) damaged("its shape isn't a tuple");
    return Dims(std::span<const std::int64_t>(extents.data(), rank));
  }

  std::string_view rest_;
};

// Splits the header's text off; `file` is left with the data.
std::string_view take_header(ByteView& file) {
  constexpr std::size_t kVersionEnd = 8;
  if (!as_text(file).starts_with(kMagic)) {
    throw Error(Status::invalid_input, "this is no .npy file: save the array with numpy.save");
  }
  if (file.size() < kVersionEnd) damaged("it ends in its header");
  const unsigned major = file[6];
  if (major < 1 || major > 3 || file[7] != 0) {
    throw Error(Status::unsupported, "the .npy file has format version " + std::to_string(major) +
                                         "." + std::to_string(file[7]) +
                                         ", but 1.0 to 3.0 are understood");
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  if (file.size() < kVersionEnd + length_bytes) damaged("it ends in its header");
  std::uint32_t length = 0;
  std::memcpy(&length, file.data() + kVersionEnd, length_bytes);
  if (length > kLongestHeader) damaged("its header is longer than 64 KiB");
  file = file.subspan(kVersionEnd + length_bytes);
  if (file.size() < length) damaged("it ends in its header");
  const std::string_view header = as_text(file.first(length));
  file = file.subspan(length);
  return header;
}

Dims reversed(const Dims& dims) {
  Dims out = dims;
  std::reverse_copy(dims.begin(), dims.end(), &out[0]);
  return out;
}

}  // namespace

Tensor read_npy(ByteView file) {
  const Header header = HeaderScanner(take_header(file)).read();
  Tensor expected;
  expected.dtype = dtype_from_descr(header.descr);
  expected.shape = header.shape;
  if (expected.nbytes() != file.size()) {
    damaged("its shape asks for " + std::to_string(expected.nbytes()) +
            " bytes of data, but there are " + std::to_string(file.size()));
  }
  if (!header.fortran_order) return raw_to_tensor(expected.dtype, header.shape, file);
  Tensor tensor = raw_to_tensor(expected.dtype, reversed(header.shape), file);
  tensor.shape = header.shape;
  tensor.strides = reversed(tensor.strides);
  return tensor;
}

Bytes write_npy(const Tensor& tensor) {
  const auto* entry =
      std::find_if(kNpyDTypes.begin(), kNpyDTypes.end(),
                   [&](const NpyDType& candidate) { return candidate.dtype == tensor.dtype; });
  if (entry == kNpyDTypes.end()) {
    throw Error(Status::unsupported, std::string("NumPy has no ") + dtype_name(tensor.dtype) +
                                         ": convert the tensor before writing a .npy file");
  }
  std::string shape;
  for (const std::int64_t extent : tensor.shape) shape += std::to_string(extent) + ", ";
  if (tensor.shape.size() > 1) shape.resize(shape.size() - 2);
  if (tensor.shape.size() == 1) shape.resize(shape.size() - 1);
  std::string header = "{'descr': '" + std::string(entry->descr) +
                       "', 'fortran_order': False, 'shape': (" + shape + "), }";
  constexpr std::size_t kPrefix = 10;
  const std::size_t used = kPrefix + header.size() + 1;
  header.append((kAlignment - used % kAlignment) % kAlignment, ' ');
  header += '\n';

  std::string start(kMagic);
  start += {'\x01', '\x00'};
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  start += header;
  Bytes file(start.begin(), start.end());
  file.reserve(start.size() + tensor.nbytes());
  append_raw(file, tensor);
  return file;
}

}  // namespace ptsecure
