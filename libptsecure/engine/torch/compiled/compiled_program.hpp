#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "libptsecure/engine/torch/compiled/aoti_runner.hpp"
#include "libptsecure/engine/torch/compiled/aoti_weights.hpp"
#include "libptsecure/engine/torch/compiled/call_spec.hpp"
#include "libptsecure/engine/torch/compiled/generated_source.hpp"
#include "libptsecure/engine/torch/compiled/memory_library.hpp"
#include "libptsecure/engine/torch/convert.hpp"

namespace ptsecure::torch_plugin {

// What is known of one compiled model before it is called; shared by its forks.
struct ProgramInfo {
  std::string method;
  CallSpec spec;
  InputRules inputs;  // of the tensors among the leaves of the arguments, in order
  std::vector<ConstantRule> constants;
  TakeOptions take;
  std::string device;  // "cpu", "cuda:0"
  bool stateful = false;
  bool folds = false;  // some constants are computed from others when the weights are there
  std::vector<std::string> input_names;        // for messages, one for each of `inputs`
  std::shared_ptr<ExternOperators> operators;  // null = the code calls none through a proxy
};

// One compiled model that can be run. Runs go side by side unless it keeps state; then they go one
// after the other.
class CompiledProgram {
 public:
  // `defaults`: what the package itself has for the weights that a file of weights may leave out;
  // may share memory with `weights` where the code doesn't change it.
  CompiledProgram(std::shared_ptr<MemoryLibrary> library, std::unique_ptr<AotiRunner> runner,
                  std::shared_ptr<const ProgramInfo> info, AotiWeights weights,
                  AotiWeights defaults)
      : library_(std::move(library)),
        runner_(std::move(runner)),
        info_(std::move(info)),
        weights_(std::move(weights)),
        defaults_(std::move(defaults)) {}

  const ProgramInfo& info() const { return *info_; }
  AotiWeights defaults() const {
    const std::lock_guard lock(replacing_);
    return defaults_;
  }
  AotiWeights weights() const {
    const std::shared_lock lock(weights_in_use_);
    return weights_;
  }
  Value run(std::span<const Value> arguments);
  // Runs that begin from now on use these weights; those under way end with the old ones, which are
  // let go after them. Throws and changes nothing when the code refuses them.
  void replace_weights(AotiWeights weights);
  // Shares the code and the weights that the code doesn't change.
  static std::shared_ptr<CompiledProgram> fork(const std::shared_ptr<CompiledProgram>& program);

 private:
  std::vector<at::Tensor> take(std::span<const Value> arguments,
                               std::vector<at::Tensor>& unowned) const;
  void keep_defaults();
  void require_together(std::span<const at::Tensor> inputs) const;
  Value give(std::vector<at::Tensor>&& results, at::Device device) const;
  Value run_locked(std::vector<at::Tensor>&& inputs, at::Device answers);

  std::shared_ptr<MemoryLibrary> library_;
  std::unique_ptr<AotiRunner> runner_;
  std::shared_ptr<const ProgramInfo> info_;
  AotiWeights weights_;
  AotiWeights defaults_;                      // changes under replacing_ alone
  bool defaults_apart_ = false;               // in memory of their own
  mutable std::shared_mutex weights_in_use_;  // shared by runs; weights_ changes under it alone
  mutable std::mutex replacing_;              // one at a time
  std::atomic<bool> turnstile_{false};  // runs wait for replacing_, so that they can't starve it
  std::mutex stateful_run_;
};

// How many runs of one model may go side by side.
std::size_t program_instances();

}  // namespace ptsecure::torch_plugin
