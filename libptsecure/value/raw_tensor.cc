#include "libptsecure/value/raw_tensor.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

static_assert(std::endian::native == std::endian::little,
              "raw tensors are copied as they are, so the machine must be little-endian");

constexpr std::size_t kLengthBytes = 4;

void check_size(DType dtype, const Dims& shape, ByteView raw) {
  Tensor probe;
  probe.dtype = dtype;
  probe.shape = shape;
  if (probe.nbytes() != raw.size()) {
    throw Error(Status::invalid_input, std::string("the shape of ") + v2_datatype(dtype) +
                                           " data asks for " + std::to_string(probe.nbytes()) +
                                           " bytes, but there are " + std::to_string(raw.size()));
  }
}

}  // namespace

Tensor raw_to_tensor(DType dtype, const Dims& shape, ByteView raw,
                     std::shared_ptr<TensorOwner> owner) {
  // Of BOOL the bytes may have to change; an empty tensor needs no memory of anybody's.
  static_assert(kRawAlignment % dtype_size(DType::complex128) == 0);
  const bool aligned = reinterpret_cast<std::uintptr_t>(raw.data()) % dtype_size(dtype) == 0;
  if (!aligned || dtype == DType::boolean || raw.empty()) return raw_to_tensor(dtype, shape, raw);
  check_size(dtype, shape, raw);
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = shape;
  tensor.strides = Tensor::contiguous_strides(shape);
  tensor.data = const_cast<std::uint8_t*>(raw.data());
  tensor.owner = std::move(owner);
  return tensor;
}

Tensor raw_to_tensor(DType dtype, const Dims& shape, ByteView raw) {
  check_size(dtype, shape, raw);
  Tensor tensor = make_tensor(dtype, shape);
  if (raw.empty()) return tensor;
  auto* bytes = static_cast<std::uint8_t*>(tensor.data);
  if (dtype == DType::boolean) {
    std::transform(raw.begin(), raw.end(), bytes,
                   [](std::uint8_t byte) { return static_cast<std::uint8_t>(byte != 0); });
  } else {
    std::memcpy(bytes, raw.data(), raw.size());
  }
  return tensor;
}

void append_raw(Bytes& out, const Tensor& tensor) {
  Tensor scratch;
  const ByteView bytes = contiguous_bytes(tensor, scratch);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::vector<std::string> raw_to_strings(ByteView raw, std::int64_t count) {
  // Every element takes its length, so a false count can't make the reservation below large.
  if (count < 0 || static_cast<std::uint64_t>(count) > raw.size() / kLengthBytes) {
    throw Error(Status::invalid_input, "the shape of BYTES data asks for " + std::to_string(count) +
                                           " elements, but its " + std::to_string(raw.size()) +
                                           " bytes can't hold as many");
  }
  std::vector<std::string> elements;
  elements.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint32_t length = 0;
    if (raw.size() >= kLengthBytes) std::memcpy(&length, raw.data(), kLengthBytes);
    if (raw.size() < kLengthBytes || raw.size() - kLengthBytes < length) {
      throw Error(Status::invalid_input,
                  "element " + std::to_string(i) + " of BYTES data is longer than the bytes left");
    }
    elements.emplace_back(as_text(raw.subspan(kLengthBytes, length)));
    raw = raw.subspan(kLengthBytes + length);
  }
  if (!raw.empty()) {
    throw Error(Status::invalid_input, "BYTES data has " + std::to_string(raw.size()) +
                                           " bytes more than its shape asks for");
  }
  return elements;
}

void append_raw(Bytes& out, std::span<const std::string> elements) {
  for (const std::string& element : elements) {
    if (element.size() > std::numeric_limits<std::uint32_t>::max()) {
      throw Error(Status::limit_exceeded, "a BYTES element can't be longer than 4 GiB");
    }
    const auto length = static_cast<std::uint32_t>(element.size());
    const auto* prefix = reinterpret_cast<const std::uint8_t*>(&length);
    out.insert(out.end(), prefix, prefix + kLengthBytes);
    out.insert(out.end(), element.begin(), element.end());
  }
}

}  // namespace ptsecure
