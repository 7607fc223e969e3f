#pragma once

#include "libptsecure/value/value.hpp"

struct DLManagedTensorVersioned;

namespace ptsecure {

// A DLPack 1.x view of `tensor`, which it keeps alive; the receiver calls its deleter once, on any
// thread. `read_only` tensors carry the READ_ONLY flag. Nothing is copied.
DLManagedTensorVersioned* to_dlpack(const Tensor& tensor);

// Takes `managed` over without a copy: its deleter runs when the last tensor that shares the memory
// goes. When this throws, nothing was taken and the caller still owns it. Accepts CPU, pinned CPU
// (as CPU) and CUDA memory, NULL strides (contiguous) and a byte offset; refuses another major
// version, element types without a DType, vector lanes, misaligned or NULL data, and impossible
// shapes.
Tensor from_dlpack(DLManagedTensorVersioned* managed);

}  // namespace ptsecure
