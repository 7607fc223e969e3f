#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/inductor/aoti_runner/model_container_runner.h>
#include <torch/csrc/inductor/aoti_torch/proxy_executor.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "libptsecure/engine/torch/memory_library.hpp"

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

  // Executes the operators that compiled code calls by number. Must live as long as this.
  void set_proxy(torch::aot_inductor::ProxyExecutor* proxy) {
    proxy_executor_handle_ = reinterpret_cast<AOTIProxyExecutorHandle>(proxy);
  }
};

}  // namespace ptsecure::torch_plugin
