// SPDX-License-Identifier: Apache-2.0
//
// Tensor values as at::Tensor and back, without copying, for C++20 programs that link libtorch
// themselves. The library uses the libtorch that is already in the process, so link the one that
// the plug-in was built with (pts_features says which minor version).
#ifndef PTSECURE_TORCH_HPP_
#define PTSECURE_TORCH_HPP_

#include <ATen/DLConvertor.h>

#include <memory>

#include "ptsecure/ptsecure.hpp"

namespace pts {
namespace detail {

struct DLPackDeleter {
  void operator()(DLManagedTensorVersioned* managed) const noexcept {
    if (managed->deleter != nullptr) managed->deleter(managed);
  }
};
using DLPackOwner = std::unique_ptr<DLManagedTensorVersioned, DLPackDeleter>;

}  // namespace detail

// A tensor that shares the value's memory and keeps it alive. Throws pts::Error when the value is
// no tensor. at::Tensor knows no read-only memory: don't write to what was read-only.
inline at::Tensor to_tensor(ValueView value) {
  detail::DLPackOwner managed(to_dlpack(value));
  at::Tensor tensor = at::fromDLPackVersioned(managed.get());
  static_cast<void>(managed.release());
  return tensor;
}

// A value that shares the tensor's memory and keeps it alive; the tensor must not be written to
// while a model runs on the value. Throws c10::Error for tensors without plain strided memory,
// pts::Error for datatypes and devices that values don't have.
inline Value from_tensor(const at::Tensor& tensor) {
  detail::DLPackOwner managed(at::toDLPackVersioned(tensor.detach().resolve_conj().resolve_neg()));
  Value value = Value::from_dlpack(managed.get());
  static_cast<void>(managed.release());
  return value;
}

}  // namespace pts

#endif  // PTSECURE_TORCH_HPP_
