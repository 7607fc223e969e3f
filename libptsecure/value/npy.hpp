#pragma once

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/value/value.hpp"

// NumPy's .npy files, format versions 1.0 to 3.0.
namespace ptsecure {

// A copy of the array in `file`; one in Fortran order keeps its order by its strides. Big-endian
// arrays, object arrays and element types without a DType throw Status::unsupported with what to
// do, damaged files Status::invalid_input.
Tensor read_npy(ByteView file);

// Version 1.0, C order. Status::unsupported for bfloat16 and complex32, which NumPy doesn't have.
Bytes write_npy(const Tensor& tensor);

}  // namespace ptsecure
