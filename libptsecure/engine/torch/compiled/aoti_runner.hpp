#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/inductor/aoti_runner/model_container_runner.h>

#include <memory>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "libptsecure/engine/torch/compiled/extern_operators.hpp"
#include "libptsecure/engine/torch/compiled/memory_library.hpp"

namespace ptsecure::torch_plugin {

// The compiled code of one model with its weights. libtorch's own runner, for any device, over a
// library that lies in memory; `instances` runs go side by side.
class AotiRunner final : public torch::inductor::AOTIModelContainerRunner {
 public:
  using Constants = std::unordered_map<std::string, at::Tensor>;

  // Weights that lie in the library are copied out of it; others are to be given. The library must
  // stay open for longer than this.
  AotiRunner(const MemoryLibrary& library, std::size_t instances, const std::string& device)
      : AOTIModelContainerRunner(library.path(), instances, device, "",
                                 /*run_single_threaded=*/false) {}

  // Throws Error(Status::invalid_model) unless the library exports what a runner calls.
  static void require_symbols(const MemoryLibrary& library);

  std::size_t constant_count() const;
  std::size_t input_count(const MemoryLibrary& library) const;

  std::vector<at::Tensor> execute(std::vector<at::Tensor>&& inputs) {
    return guarded([&] { return boxed_run(std::move(inputs)); });
  }
  void fold(bool use_inactive) {
    guarded([&] { run_const_fold(use_inactive); });
  }

  // Executes the operators that compiled code calls by number; null = it calls none.
  void set_operators(std::shared_ptr<ExternOperators> operators) {
    operators_ = std::move(operators);
    proxy_executor_handle_ = reinterpret_cast<AOTIProxyExecutorHandle>(
        static_cast<torch::aot_inductor::ProxyExecutor*>(operators_.get()));
  }

 private:
  // What an operator threw, rather than the code's word that something did.
  template <class Call>
  static std::invoke_result_t<Call> guarded(Call&& call) {
    ExternOperators::forget_failure();
    try {
      return call();
    } catch (...) {
      ExternOperators::rethrow_failure();
      throw;
    }
  }

  std::shared_ptr<ExternOperators> operators_;
};

}  // namespace ptsecure::torch_plugin
