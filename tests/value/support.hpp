#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "libptsecure/base/error.hpp"
#include "libptsecure/value/spec.hpp"
#include "libptsecure/value/tensor.hpp"
#include "libptsecure/value/value.hpp"

namespace ptsecure::test {

template <class T>
Tensor tensor_of(DType dtype, const Dims& shape, std::initializer_list<T> elements) {
  Tensor tensor = make_tensor(dtype, shape);
  EXPECT_EQ(tensor.nbytes(), elements.size() * sizeof(T));
  std::copy(elements.begin(), elements.end(), static_cast<T*>(tensor.data));
  return tensor;
}

inline Tensor floats(const Dims& shape, std::initializer_list<float> elements) {
  return tensor_of<float>(DType::float32, shape, elements);
}

// The elements in row-major order, whatever the strides.
template <class T>
std::vector<T> elements_of(const Tensor& tensor) {
  Tensor scratch;
  const ByteView bytes = contiguous_bytes(tensor, scratch);
  std::vector<T> elements(bytes.size() / sizeof(T));
  if (!bytes.empty()) std::memcpy(elements.data(), bytes.data(), bytes.size());
  return elements;
}

// Runs `action`, which must throw Error with that status and a message holding `part`.
inline void expect_error(Status status, const std::string& part,
                         const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown; expected " << status_name(status) << ": " << part;
  } catch (const Error& error) {
    EXPECT_EQ(status_name(error.status()), std::string(status_name(status))) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

inline ValueSpec spec_of(const std::string& name, ValueKind kind) {
  ValueSpec spec;
  spec.name = name;
  spec.kind = kind;
  return spec;
}

inline ValueSpec tensor_spec(const std::string& name, DType dtype,
                             std::vector<std::int64_t> shape) {
  ValueSpec spec = spec_of(name, ValueKind::tensor);
  spec.dtype = dtype;
  spec.shape = std::move(shape);
  return spec;
}

}  // namespace ptsecure::test
