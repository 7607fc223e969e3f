#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>
#include <torch/csrc/inductor/aoti_torch/proxy_executor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ptsecure::torch_plugin {

// The operators that compiled code calls by number through a proxy, because it has no C function
// for them: custom ones and some of torch's own. They are those registered in this process;
// libtorch's executor would read their list from a file, this one has it from the package. Calls
// from several threads may go side by side.
class ExternOperators final : public torch::aot_inductor::ProxyExecutor {
 public:
  // `nodes` is the record *.wrapper.json of a package; `device` stands for the one that a node
  // names. Throws Error(Status::unsupported) for an operator that nothing has registered, or an
  // argument of a kind that a package can't carry in memory; invalid_model for what is no list.
  // `inspect_only`: none will be called, so they needn't be registered.
  ExternOperators(const std::string& nodes, at::Device device, bool inspect_only);

  void call_function(int index, int int_count, std::int64_t* ints, int tensor_count,
                     AtenTensorHandle* tensors) override;

  // Throws what an operator threw in the run of this thread that has just failed, which the
  // compiled code answered with an error of its own. Else returns.
  static void rethrow_failure();
  static void forget_failure();

 private:
  // An argument that comes with each call, or a result.
  struct Slot {
    enum class Kind { tensor, tensors, optional_tensors, integer, integers };
    Kind kind = Kind::tensor;
    std::size_t position = 0;   // in the operator's schema
    std::vector<bool> present;  // one for each element
  };
  struct Operator {
    c10::OperatorHandle handle;
    std::vector<c10::IValue> arguments;  // those that were compiled in; others undefined
    std::vector<Slot> slots;             // in the order in which the code passes them
    std::vector<Slot> results;
    std::size_t tensors = 0;  // of all slots and results
    std::size_t ints = 0;
  };
  class Reader;

  static void call(const Operator& op, const std::int64_t* ints, AtenTensorHandle* tensors);

  std::vector<Operator> operators_;
};

}  // namespace ptsecure::torch_plugin
