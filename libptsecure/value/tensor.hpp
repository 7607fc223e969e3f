#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/value/value.hpp"

namespace ptsecure {

// Alignment of memory that this library allocates for tensors.
inline constexpr std::size_t kTensorAlignment = 64;

// An owned, contiguous CPU tensor; its elements are uninitialised. Status::invalid_input for an
// impossible shape, Status::out_of_memory when there is no room.
Tensor make_tensor(DType dtype, const Dims& shape);

// An owned, contiguous, writable copy of a CPU tensor with any strides (zero and negative too).
// Status::unsupported for one on another device.
Tensor copy_contiguous(const Tensor& source);

// The elements as one run of bytes in row-major order: a view of the tensor itself when it is
// contiguous, else of `scratch`, which receives a contiguous copy. Valid while both live.
ByteView contiguous_bytes(const Tensor& tensor, Tensor& scratch);

// Refuses (Status::invalid_input) what no engine may see: shape and strides of different rank,
// negative extents, sizes or strides that overflow 63 bits, NULL or misaligned data.
void check_tensor(const Tensor& tensor);

// "[2,3]", for messages.
std::string shape_text(std::span<const std::int64_t> shape);

// "bool", "uint8" ... "float32", "bfloat16", "complex64": the names PyTorch and NumPy use.
const char* dtype_name(DType dtype) noexcept;
// Throws Status::invalid_argument for a name that is none.
DType dtype_from_name(std::string_view name);

// The Open Inference Protocol's datatype: "BOOL", "UINT8", "INT64", "FP16", "BF16", "FP32", "FP64";
// and, as an extension of ours, "COMPLEX32", "COMPLEX64", "COMPLEX128" (bits of one element).
const char* v2_datatype(DType dtype) noexcept;
std::optional<DType> dtype_from_v2(std::string_view datatype) noexcept;

}  // namespace ptsecure
