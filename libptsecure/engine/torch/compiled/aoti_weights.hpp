#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "libptsecure/engine/byte_source.hpp"
#include "libptsecure/engine/torch/compiled/aoti_runner.hpp"
#include "libptsecure/engine/torch/compiled/generated_source.hpp"
#include "libptsecure/engine/torch/compiled/pt2_package.hpp"

// The weights of compiled models: where they come from, and how they reach the code. There is one
// copy of them, in tensors of ours that the code is lent.
namespace ptsecure::torch_plugin {

class AotiWeights {
 public:
  AotiWeights() = default;  // none
  // All of them, or only those that a file of weights may leave out; the others are undefined then.
  enum class Which { all, optional };
  // As the code has them already: in the library, copied out by the runner, which has to live as
  // long as these. Throws Error(Status::invalid_model) naming one that is missing.
  static AotiWeights of_runner(const AotiRunner& runner, std::span<const ConstantRule> rules,
                               Which which = Which::all);
  // Room for all of them in one piece, which source.finish() fills from the record; the same, begun
  // before the rules were known.
  static at::Tensor begin_blob(ByteSource& source, const Record& record);
  static AotiWeights of_blob(ByteSource& source, const Record& record,
                             std::span<const ConstantRule> rules, Which which = Which::all,
                             at::Tensor whole = {});
  // Read one by one.
  static AotiWeights of_pickles(ByteSource& source, const Archive& archive,
                                const CompiledModel& model, std::span<const ConstantRule> rules,
                                Which which = Which::all);

  // From a file of weights alone, safetensors or a torch.save of a state_dict, by their names in
  // the model. Optional ones may be missing there: then they are undefined here. source.finish()
  // fills the others, then laid_out() puts them in order. Throws Error(Status::invalid_model)
  // naming a weight that is missing, or of another datatype or shape.
  static AotiWeights of_checkpoint(ByteSource& source, std::span<const ConstantRule> rules);

  // The weights of the package itself; `whole`: what begin_blob() gave, if it was called. When this
  // returns they may still be to come with source.finish().
  static AotiWeights of_package(ByteSource& source, const Archive& archive,
                                const CompiledModel& model, std::span<const ConstantRule> rules,
                                Which which = Which::all, at::Tensor whole = {});

  // Those of `others` where one is undefined here, in memory of their own.
  AotiWeights completed_by(const AotiWeights& others) const;
  // With the strides that the code was compiled for.
  AotiWeights laid_out(std::span<const ConstantRule> rules) const;

  // One for each rule; undefined for folded ones, which the code computes itself.
  const std::vector<at::Tensor>& tensors() const { return tensors_; }
  std::uint64_t bytes() const;
  // The same weights where the code that runs on `device` expects them.
  AotiWeights on(at::Device device, std::span<const ConstantRule> rules) const;
  // Copies of those that the code changes, the others as they are.
  AotiWeights with_own_state(std::span<const ConstantRule> rules) const;
  // All of them in memory of their own.
  AotiWeights copied() const;
  // Those that a file of weights may leave out, with_own_state(); the others undefined.
  AotiWeights optional_ones(std::span<const ConstantRule> rules) const;
  // Whether an address lies in one of them.
  bool hold(const void* address) const;

  AotiRunner::Constants by_name(std::span<const ConstantRule> rules) const;

 private:
  explicit AotiWeights(std::vector<at::Tensor> tensors);
  struct Range {
    const char* begin = nullptr;
    const char* end = nullptr;
  };
  std::vector<at::Tensor> tensors_;
  std::vector<Range> ranges_;  // sorted, merged
};

}  // namespace ptsecure::torch_plugin
