#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/value/value.hpp"

// Elements as raw little-endian bytes in row-major order: the binary tensor extension of the Open
// Inference Protocol.
namespace ptsecure {

// Raw bytes that begin at a multiple of this are used where they lie, of whatever datatype; what an
// allocation of libtorch's own begins at.
inline constexpr std::size_t kRawAlignment = 64;

// Status::invalid_input when `raw` isn't exactly as long as the shape says. Bytes of a BOOL tensor
// other than 0 become 1.
Tensor raw_to_tensor(DType dtype, const Dims& shape, ByteView raw);
// The same, but over `raw` itself where its alignment allows; `owner` keeps those bytes, which the
// tensor's users may write to.
Tensor raw_to_tensor(DType dtype, const Dims& shape, ByteView raw,
                     std::shared_ptr<TensorOwner> owner);
void append_raw(Bytes& out, const Tensor& tensor);

// BYTES: every element is a 4-byte little-endian length and that many bytes. Refuses anything but
// exactly `count` elements.
std::vector<std::string> raw_to_strings(ByteView raw, std::int64_t count);
void append_raw(Bytes& out, std::span<const std::string> elements);

}  // namespace ptsecure
