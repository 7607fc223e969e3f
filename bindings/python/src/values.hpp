#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <ptsecure/ptsecure.hpp>
#include <string>
#include <utility>
#include <vector>

#include "dlpack.hpp"

namespace binding {

namespace py = pybind11;

// What tensors come out as.
struct ArrayKind {
  // The exchange functions of the type that tensors are to have; NULL = NumPy.
  const DLPackExchangeAPI* exchange = nullptr;
  // Addresses that came in read-only, first and past the last: a result that lies there is too.
  std::vector<std::pair<const void*, const void*>> read_only;
};
// The exchange functions of torch.Tensor; imports torch.
const DLPackExchangeAPI* torch_exchange();

// Python objects as values, sharing the memory of arrays. `kind` becomes that of the first array
// that names an exchange API. Throws InvalidInputError for what is no input of a model, saying
// where it is.
class Inputs {
 public:
  // Positional inputs, then named ones (NULL = none).
  Inputs(const py::tuple& positional, const py::dict& named);
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;
  ~Inputs();

  const pts_value* const* data() const noexcept { return values_.data(); }
  std::size_t size() const noexcept { return values_.size(); }
  // One per value, NULL for positional ones; NULL when none has a name.
  const char* const* names() const noexcept { return names_.empty() ? nullptr : names_.data(); }
  const ArrayKind& kind() const noexcept { return kind_; }

 private:
  void clear() noexcept;

  std::vector<pts_value*> values_;
  std::vector<const char*> names_;
  ArrayKind kind_;
};

// A value as a Python object; takes `value` over. Tensors share its memory.
py::object to_python(pts_value* value, const ArrayKind& kind);

}  // namespace binding
