// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_TENSOR_HPP_
#define PTSECURE_CPP_TENSOR_HPP_

#include <complex>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "ptsecure/cpp/error.hpp"

namespace pts {

// The datatype of a C++ type: dtype_of<float>() == PTS_DTYPE_FLOAT32.
template <typename T>
constexpr pts_dtype dtype_of() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<U, bool>)
    return PTS_DTYPE_BOOL;
  else if constexpr (std::is_same_v<U, float>)
    return PTS_DTYPE_FLOAT32;
  else if constexpr (std::is_same_v<U, double>)
    return PTS_DTYPE_FLOAT64;
  else if constexpr (std::is_same_v<U, std::complex<float>>)
    return PTS_DTYPE_COMPLEX64;
  else if constexpr (std::is_same_v<U, std::complex<double>>)
    return PTS_DTYPE_COMPLEX128;
  else {
    static_assert(std::is_integral_v<U> && sizeof(U) <= 8,
                  "tensors hold bool, integers, float, double and complex numbers of these");
    constexpr pts_dtype first = std::is_signed_v<U> ? PTS_DTYPE_INT8 : PTS_DTYPE_UINT8;
    return first + (sizeof(U) == 1 ? 0 : sizeof(U) == 2 ? 1 : sizeof(U) == 4 ? 2 : 3);
  }
}

// A tensor's description, borrowed from the value it was taken from.
class TensorView {
 public:
  explicit TensorView(const pts_tensor& raw) noexcept : raw_(raw) {}

  pts_dtype dtype() const noexcept { return raw_.dtype; }
  std::size_t rank() const noexcept { return static_cast<std::size_t>(raw_.rank); }
  std::int64_t extent(std::size_t axis) const { return raw_.shape[axis]; }
  std::int64_t stride(std::size_t axis) const { return raw_.strides[axis]; }
  std::vector<std::int64_t> shape() const { return {raw_.shape, raw_.shape + rank()}; }
  std::vector<std::int64_t> strides() const { return {raw_.strides, raw_.strides + rank()}; }
  std::int32_t device_type() const noexcept { return raw_.device_type; }
  std::int32_t device_index() const noexcept { return raw_.device_index; }
  bool read_only() const noexcept { return raw_.read_only != 0; }
  const pts_tensor& raw() const noexcept { return raw_; }

  std::size_t numel() const noexcept {
    std::size_t n = 1;
    for (std::size_t i = 0; i < rank(); ++i) n *= static_cast<std::size_t>(raw_.shape[i]);
    return n;
  }
  bool contiguous() const noexcept {
    std::int64_t expected = 1;
    for (std::size_t i = rank(); i-- > 0;) {
      if (raw_.shape[i] == 0) return true;
      if (raw_.shape[i] != 1 && raw_.strides[i] != expected) return false;
      expected *= raw_.shape[i];
    }
    return true;
  }

  // The elements where they lie. Throws when T is not the tensor's datatype, when it is not in CPU
  // memory, and, for a T that isn't const, when it is read-only.
  template <typename T>
  T* data() const {
    if (dtype_of<T>() != raw_.dtype) {
      throw Error(PTS_INVALID_ARGUMENT, "the tensor's datatype is " + std::to_string(raw_.dtype) +
                                            ", not " + std::to_string(dtype_of<T>()));
    }
    if (raw_.device_type != PTS_DEVICE_CPU) {
      throw Error(PTS_INVALID_ARGUMENT, "the tensor is not in CPU memory");
    }
    if (!std::is_const_v<T> && read_only()) {
      throw Error(PTS_INVALID_ARGUMENT, "the tensor is read-only; ask for a pointer to const");
    }
    return static_cast<T*>(raw_.data);
  }

  // A copy of the elements in row-major order, whatever the strides.
  template <typename T>
  std::vector<T> to_vector() const {
    const T* elements = data<const T>();
    std::vector<T> out;
    out.reserve(numel());
    if (contiguous()) {
      for (std::size_t i = 0; i < numel(); ++i) out.push_back(elements[i]);
    } else {
      append(elements, 0, out);
    }
    return out;
  }

 private:
  template <typename T>
  void append(const T* at, std::size_t axis, std::vector<T>& out) const {
    if (axis == rank()) {
      out.push_back(*at);
      return;
    }
    for (std::int64_t i = 0; i < raw_.shape[axis]; ++i) {
      append(at + i * raw_.strides[axis], axis + 1, out);
    }
  }
  pts_tensor raw_;
};

}  // namespace pts

#endif  // PTSECURE_CPP_TENSOR_HPP_
