#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type_base.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libptsecure/value/spec.hpp"
#include "libptsecure/value/value.hpp"

// Values to and from what TorchScript works on. Tensors cross without a copy wherever that is safe.
namespace ptsecure::torch_plugin {

// How arguments are taken over, the same for all arguments of one call.
struct TakeOptions {
  at::Device device = at::kCPU;  // tensors that lie elsewhere are copied there
  bool copy_tensors = false;     // when the method may write to its inputs
  bool copy_unowned = false;     // when the model may keep its inputs beyond the call
};

// The kind of value that a schema type takes; nullopt = any of several.
std::optional<ValueKind> kind_of(const c10::Type& type);

// `where` names the argument for error messages, e.g. "input 'x' of forward". Tensors made from
// memory that nobody owns are also put into `unowned`, so that a result sharing that memory is
// seen. Throws Error(Status::invalid_input) when the value does not fit the type.
c10::IValue take_value(const Value& value, const c10::TypePtr& type, const TakeOptions& options,
                       const std::string& where, std::vector<at::Tensor>& unowned);

// How results are given, the same for all of one call.
struct GiveOptions {
  const std::string& where;  // the method, for messages
  at::Device device;         // device_of_answers()
};

// The CPU, unless an argument lies on a GPU: who computes with a model's device keeps its answers
// there, and everybody else can read them.
at::Device device_of_answers(std::span<const Value> arguments, at::Device model);

// Results own their memory alone: a tensor that something else still refers to (the model's state,
// its weights, an input) is copied; others keep their storage, made contiguous when they are not,
// and brought to the CPU when the options name it. Throws Error(Status::unsupported) for what a
// value tree cannot hold.
Value give_value(c10::IValue&& result, const GiveOptions& options);

at::ScalarType scalar_type(DType dtype);
std::optional<DType> dtype_of(at::ScalarType type);
at::Device at_device(Device device);
// "[1,3,224]"
std::string shape_text(at::IntArrayRef shape);

}  // namespace ptsecure::torch_plugin
