#pragma once

#include <torch/csrc/jit/api/module.h>

#include <vector>

#include "libptsecure/value/spec.hpp"

// What running a module's methods can change, found in their graphs without running them.
namespace ptsecure::torch_plugin {

// In doubt each answer is true.
struct Effects {
  bool writes_state = false;       // an attribute is set, or a buffer's contents changed
  bool writes_parameters = false;  // among them a parameter
  bool writes_inputs = false;      // an argument's contents are changed
};

// `methods` of `module`, one answer each. What is only reached in training is not counted for a
// module that was saved in eval mode.
std::vector<Effects> find_effects(const torch::jit::Module& module,
                                  const std::vector<torch::jit::Function*>& methods);

// The methods a caller can use, "forward" first: those whose name has no leading underscore.
std::vector<torch::jit::Function*> callable_methods(const torch::jit::Module& module);

MethodSpec describe_method(const torch::jit::Function& method);

}  // namespace ptsecure::torch_plugin
