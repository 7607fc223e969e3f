#include "libptsecure/engine/torch/compiled/compiled_program.hpp"

#include <ATen/core/jit_type.h>
#include <ATen/ops/empty_strided.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {
namespace {

[[noreturn]] void reject(const std::string& where, const at::Tensor& tensor,
                         const TensorRule& rule) {
  std::string expected = rule.dtype ? at::toString(scalar_type(*rule.dtype)) : "another datatype";
  throw Error(Status::invalid_input, where + " must be " + expected + shape_text(rule.shape) +
                                         " (-1 = free), as the model was compiled for, but is " +
                                         at::toString(tensor.scalar_type()) +
                                         shape_text(tensor.sizes()));
}

void require_fit(const std::string& where, const at::Tensor& tensor, const TensorRule& rule) {
  if (!rule.dtype || tensor.scalar_type() != scalar_type(*rule.dtype) ||
      tensor.dim() != static_cast<std::int64_t>(rule.shape.size())) {
    reject(where, tensor, rule);
  }
  for (std::size_t i = 0; i < rule.shape.size(); ++i) {
    const std::int64_t extent = tensor.sizes()[i];
    if (rule.shape[i] >= 0 ? extent != rule.shape[i] : extent == 0) reject(where, tensor, rule);
    if (rule.shape[i] < 0 && extent < rule.least[i]) {
      throw Error(Status::invalid_input,
                  where + " has " + std::to_string(extent) + " in dimension " + std::to_string(i) +
                      ", but the model was compiled for at least " + std::to_string(rule.least[i]));
    }
    if (rule.greatest[i] >= 0 && extent > rule.greatest[i]) {
      throw Error(Status::invalid_input, where + " has " + std::to_string(extent) +
                                             " in dimension " + std::to_string(i) +
                                             ", but the model was compiled for at most " +
                                             std::to_string(rule.greatest[i]));
    }
  }
}

// Where elements of extent 1 lie doesn't depend on the stride.
bool lies_as(at::IntArrayRef sizes, at::IntArrayRef strides, std::span<const std::int64_t> rule) {
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 1 && rule[i] >= 0 && strides[i] != rule[i]) return false;
  }
  return true;
}

// The compiled code computes addresses with the strides it was compiled for.
at::Tensor laid_out(const std::string& where, at::Tensor tensor, const TensorRule& rule) {
  const bool fixed =
      std::all_of(rule.strides.begin(), rule.strides.end(), [](auto s) { return s >= 0; });
  if (lies_as(tensor.sizes(), tensor.strides(), rule.strides) &&
      (fixed || tensor.is_contiguous())) {
    return tensor;
  }
  const at::MemoryFormat formats[] = {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast,
                                      at::MemoryFormat::ChannelsLast3d};
  for (const at::MemoryFormat format : formats) {
    if (format == at::MemoryFormat::ChannelsLast && tensor.dim() != 4) continue;
    if (format == at::MemoryFormat::ChannelsLast3d && tensor.dim() != 5) continue;
    at::Tensor copy = tensor.contiguous(format);
    if (lies_as(copy.sizes(), copy.strides(), rule.strides)) return copy;
  }
  if (!fixed) {
    throw Error(Status::unsupported,
                where +
                    " was compiled for a layout in memory that can't be made from a free "
                    "shape; compile the model with contiguous example inputs");
  }
  at::Tensor copy = at::empty_strided(tensor.sizes(), rule.strides, tensor.options());
  copy.copy_(tensor);
  return copy;
}

}  // namespace

std::size_t program_instances() {
  return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 16);
}

// The code takes a number that several inputs have in common from one of them.
void CompiledProgram::require_together(std::span<const at::Tensor> inputs) const {
  const auto mismatch = info_->inputs.relations.check(
      [inputs](std::size_t input, std::size_t axis) { return inputs[input].sizes()[axis]; });
  if (!mismatch) return;
  const auto expected = mismatch->expected ? std::to_string(*mismatch->expected) : "another number";
  throw Error(Status::invalid_input, info_->input_names[mismatch->input] + " is " +
                                         shape_text(inputs[mismatch->input].sizes()) +
                                         ", but with the other inputs of this "
                                         "call the compiled model takes " +
                                         expected + " in dimension " +
                                         std::to_string(mismatch->axis));
}

std::vector<at::Tensor> CompiledProgram::take(std::span<const Value> arguments,
                                              std::vector<at::Tensor>& unowned) const {
  const std::vector<TensorRule>& rules = info_->inputs.tensors;
  std::vector<at::Tensor> inputs;
  inputs.reserve(rules.size());
  for (const Value* leaf : info_->spec.flatten(arguments)) {
    if (!leaf->is(ValueKind::tensor)) continue;  // its value was compiled into the code
    const std::size_t i = inputs.size();
    if (i == rules.size()) break;
    const std::string& where = info_->input_names[i];
    TakeOptions options = info_->take;
    options.copy_tensors = rules[i].written;
    at::Tensor tensor =
        take_value(*leaf, c10::TensorType::get(), options, where, unowned).toTensor();
    require_fit(where, tensor, rules[i]);
    inputs.push_back(laid_out(where, std::move(tensor), rules[i]));
  }
  if (inputs.size() != rules.size()) {
    throw Error(Status::invalid_input, info_->method + " takes " + std::to_string(rules.size()) +
                                           " tensors, but was given " +
                                           std::to_string(inputs.size()));
  }
  require_together(inputs);
  return inputs;
}

Value CompiledProgram::give(std::vector<at::Tensor>&& results, at::Device device) const {
  const GiveOptions options{.where = info_->method, .device = device};
  std::vector<Value> leaves;
  leaves.reserve(results.size());
  for (at::Tensor& result : results) {
    if (!result.defined()) {
      leaves.emplace_back();
      continue;
    }
    if (weights_.hold(result.data_ptr())) result = result.clone();
    leaves.push_back(give_value(c10::IValue(std::move(result)), options));
  }
  if (leaves.size() != info_->spec.output_leaves()) {
    throw Error(Status::engine, info_->method + " returned " + std::to_string(leaves.size()) +
                                    " values, but its call spec has " +
                                    std::to_string(info_->spec.output_leaves()));
  }
  return info_->spec.unflatten(leaves);
}

Value CompiledProgram::run(std::span<const Value> arguments) {
  std::vector<at::Tensor> unowned;
  std::vector<at::Tensor> inputs = take(arguments, unowned);
  const at::Device answers = device_of_answers(arguments, info_->take.device);
  if (!info_->stateful) return run_locked(std::move(inputs), answers);
  const std::lock_guard lock(stateful_run_);
  return run_locked(std::move(inputs), answers);
}

Value CompiledProgram::run_locked(std::vector<at::Tensor>&& inputs, at::Device answers) {
  if (turnstile_.load(std::memory_order_acquire)) const std::lock_guard wait(replacing_);
  const std::shared_lock lock(weights_in_use_);
  return give(runner_->execute(std::move(inputs)), answers);
}

// Before the weights that they share memory with are let go.
void CompiledProgram::keep_defaults() {
  if (!defaults_apart_) defaults_ = defaults_.copied();
  defaults_apart_ = true;
}

void CompiledProgram::replace_weights(AotiWeights weights) {
  const std::lock_guard lock(replacing_);
  keep_defaults();
  AotiRunner::Constants constants = weights.by_name(info_->constants);
  runner_->update_constant_buffer(constants, /*use_inactive=*/true,
                                  /*validate_full_updates=*/false, /*user_managed=*/true);
  // Code that folds nothing would only say so on standard error.
  if (info_->folds) runner_->fold(/*use_inactive=*/true);
  turnstile_.store(true, std::memory_order_release);
  {
    const std::unique_lock exclusive(weights_in_use_);
    turnstile_.store(false, std::memory_order_release);
    runner_->swap_constant_buffer();
    std::swap(weights_, weights);
  }
  // The buffer that is inactive now must not keep the old ones.
  runner_->update_constant_buffer(constants, /*use_inactive=*/true,
                                  /*validate_full_updates=*/false, /*user_managed=*/true);
  runner_->free_inactive_constant_buffer();
}

std::shared_ptr<CompiledProgram> CompiledProgram::fork(
    const std::shared_ptr<CompiledProgram>& program) {
  if (!program->info_->stateful) return program;
  const std::lock_guard lock(program->stateful_run_);
  const ProgramInfo& info = *program->info_;
  AotiWeights weights = program->weights().with_own_state(info.constants);
  auto runner = std::make_unique<AotiRunner>(*program->library_, program_instances(), info.device);
  runner->set_operators(info.operators);
  auto forked = std::make_shared<CompiledProgram>(program->library_, std::move(runner),
                                                  program->info_, AotiWeights(), AotiWeights());
  forked->replace_weights(std::move(weights));
  const std::lock_guard defaults(program->replacing_);
  program->keep_defaults();
  forked->defaults_ = program->defaults_;
  return forked;
}

}  // namespace ptsecure::torch_plugin
