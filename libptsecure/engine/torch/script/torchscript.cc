#include "libptsecure/engine/torch/script/torchscript.hpp"

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/operator_upgraders/upgraders_entry.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libptsecure/engine/torch/convert.hpp"
#include "libptsecure/engine/torch/errors.hpp"
#include "libptsecure/engine/torch/files/archive.hpp"
#include "libptsecure/engine/torch/files/pickle_globals.hpp"
#include "libptsecure/engine/torch/files/read_adapter.hpp"
#include "libptsecure/engine/torch/quiet.hpp"
#include "libptsecure/engine/torch/script/analysis.hpp"
#include "libptsecure/engine/torch/script/module_state.hpp"
#include "libptsecure/engine/torch/threads.hpp"

namespace ptsecure::torch_plugin {
namespace {

namespace jit = torch::jit;
using caffe2::serialize::PyTorchStreamReader;

// What is known of a method before it is called; shared by all forks of a model.
struct CallableMethod {
  std::string name;
  jit::Function* function = nullptr;
  struct Parameter {
    c10::TypePtr type;
    std::optional<c10::IValue> fallback;
    std::string where;  // "input 'x' of forward"
  };
  std::vector<Parameter> parameters;
  TakeOptions take;
};

struct ModelCommon {
  ModelDescription description;
  std::vector<CallableMethod> methods;
  int intra_op_threads = 0;
  bool copy_parameters = false;  // when forking: the model changes them
  bool inspect_only = false;
};

class TorchscriptModel final : public EngineModel {
 public:
  TorchscriptModel(jit::Module module, std::shared_ptr<const ModelCommon> common)
      : module_(std::move(module)), self_(module_._ivalue()), common_(std::move(common)) {}

  const ModelDescription& description() const override { return common_->description; }

  Value infer(const std::string& name, std::span<const Value> arguments) override {
    if (common_->inspect_only) {
      throw Error(
          Status::invalid_argument,
          "the model was loaded only to be described; load it without inspect_only to run it");
    }
    const CallableMethod& method = find(name);
    try {
      return run(method, arguments);
    } catch (...) {
      rethrow_as_error(name);
    }
  }

  std::unique_ptr<EngineModel> fork() const override {
    if (!common_->description.stateful) {
      return std::make_unique<TorchscriptModel>(module_, common_);
    }
    try {
      const std::lock_guard lock(running_);
      const c10::InferenceMode inference;
      return std::make_unique<TorchscriptModel>(fork_module(module_, common_->copy_parameters),
                                                common_);
    } catch (...) {
      rethrow_as_error("fork");
    }
  }

  void replace_weights(ByteSource&, bool) override {
    throw Error(Status::unsupported,
                "the weights of a TorchScript model can't be replaced while it is open; open the "
                "new version beside it");
  }

 private:
  const CallableMethod& find(const std::string& name) const {
    for (const CallableMethod& method : common_->methods) {
      if (method.name == name) return method;
    }
    std::string names;
    for (const CallableMethod& method : common_->methods) {
      names += (names.empty() ? "" : ", ") + method.name;
    }
    throw Error(Status::invalid_input, "the model has no method \"" + name + "\"; it has " +
                                           (names.empty() ? "none that can be called" : names));
  }

  Value run(const CallableMethod& method, std::span<const Value> arguments) {
    const QuietScope quiet;
    const c10::InferenceMode inference;
    const IntraOpThreads threads(common_->intra_op_threads);
    std::vector<at::Tensor> unowned;
    jit::Stack stack;
    take_arguments(method, arguments, stack, unowned);
    const GiveOptions give{.where = method.name,
                           .device = device_of_answers(arguments, method.take.device)};
    if (!common_->description.stateful) {
      method.function->run(stack);
      return give_value(std::move(stack.back()), give);
    }
    const std::lock_guard lock(running_);
    method.function->run(stack);
    return give_value(std::move(stack.back()), give);
  }

  void take_arguments(const CallableMethod& method, std::span<const Value> arguments,
                      jit::Stack& stack, std::vector<at::Tensor>& unowned) const {
    if (arguments.size() > method.parameters.size()) {
      throw Error(Status::invalid_input,
                  method.name + " takes at most " + std::to_string(method.parameters.size()) +
                      " inputs, but was given " + std::to_string(arguments.size()));
    }
    stack.reserve(method.parameters.size() + 1);
    stack.push_back(self_);
    for (std::size_t i = 0; i < method.parameters.size(); ++i) {
      const CallableMethod::Parameter& parameter = method.parameters[i];
      if (i < arguments.size()) {
        stack.push_back(
            take_value(arguments[i], parameter.type, method.take, parameter.where, unowned));
      } else if (parameter.fallback) {
        stack.push_back(parameter.fallback->deepcopy());
      } else {
        throw Error(Status::invalid_input, parameter.where + " is missing");
      }
    }
  }

  jit::Module module_;
  c10::IValue self_;
  std::shared_ptr<const ModelCommon> common_;
  mutable std::mutex running_;  // held while a stateful model runs or is forked
};

std::string read_record(PyTorchStreamReader& reader, const std::string& name) {
  if (!reader.hasRecord(name)) return {};
  const auto [data, size] = reader.getRecord(name);
  return {static_cast<const char*>(data.get()), size};
}

// Whether tensor bytes may arrive after the module was built: nothing that runs while it is built
// may look at them.
bool may_defer(PyTorchStreamReader& reader, const Archive& archive) {
  const auto globals = pickle_globals(read_record(reader, "data.pkl"));
  if (!globals || !rebuilds_plain_tensors_only(*globals)) return false;
  const std::string byte_order = read_record(reader, "byteorder");
  if (!byte_order.empty() && byte_order != "little") return false;
  return std::none_of(
      archive.records().begin(), archive.records().end(), [&](const Record& record) {
        return record.name.starts_with("code/") && record.name.ends_with(".py") &&
               read_record(reader, record.name).find("__setstate__") != std::string::npos;
      });
}

class TorchscriptLoad final : public EngineLoad {
 public:
  TorchscriptLoad(ByteSource& source, EngineLoadOptions options)
      : source_(source),
        options_(std::move(options)),
        device_(options_.inspect_only ? at::Device(at::kCPU) : at_device(options_.device)),
        archive_(std::in_place, source) {}

  ~TorchscriptLoad() override { discard(); }

  // What needs none of libtorch's operators.
  void begin() {
    if (!may_defer_tensors()) return;
    adapter_ = std::make_shared<ReadAdapter>(source_, *archive_, /*defer_tensors=*/true);
    if (options_.inspect_only) return;
    unfinished_ = true;
    adapter_->begin_ahead();
  }

  std::unique_ptr<EngineModel> finish() override;

 private:
  // What was noted points into memory that is about to go.
  void discard() {
    if (std::exchange(unfinished_, false)) source_.discard_deferred();
  }

  jit::Module load() {
    if (adapter_ != nullptr && load_deferred()) {
      if (options_.inspect_only) return *module_;
      adapter_->hand_over();
      finish_source();
      if (adapter_->headers_hold()) {
        if (adapter_->arena()) storages_->adopt(adapter_->deferred(), *adapter_->arena());
        return *module_;
      }
    }
    discard();
    load_at_once();
    if (!options_.inspect_only) finish_source();
    return *module_;
  }

  bool may_defer_tensors() {
    require_torchscript(*archive_, source_);
    if (!device_.is_cpu()) return false;
    const auto adapter = std::make_shared<ReadAdapter>(source_, *archive_, /*defer_tensors=*/false);
    try {
      PyTorchStreamReader reader(adapter);
      return may_defer(reader, *archive_);
    } catch (...) {
      rethrow_load_error(*adapter);
    }
  }

  bool load_deferred() {
    try {
      load_module();
      if (storages_held_) return true;
    } catch (const Error&) {
      throw;
    } catch (...) {
      adapter_->rethrow_source_error();
      // Told in full by the second attempt, if it fails too.
    }
    module_.reset();
    return false;
  }

  // Whatever the model does to restore its state is done here.
  void load_at_once() {
    if (options_.before_code) options_.before_code();
    adapter_ = std::make_shared<ReadAdapter>(source_, *archive_, /*defer_tensors=*/false);
    try {
      load_module();
    } catch (...) {
      rethrow_load_error(*adapter_);
    }
  }

  void load_module() {
    module_.reset();
    storages_.reset();
    jit::ExtraFilesMap no_extra_files;
    // Onto the CPU first: only there can bounds be checked before anything is copied on.
    module_ = jit::load(adapter_, at::Device(at::kCPU), no_extra_files, /*load_debug_files=*/false);
    storages_.emplace(*module_);
    storages_->check_bounds(*adapter_);
    weight_bytes_ = storages_->total_bytes();
    storages_held_ = storages_->hold(adapter_->deferred());
    if (!device_.is_cpu()) module_->to(device_);
  }

  // Of what only loading needed, so that an optimised module can do without the first one's
  // weights.
  void let_go() {
    module_.reset();
    storages_.reset();
    adapter_.reset();
    archive_.reset();
  }

  void finish_source() {
    source_.finish();
    unfinished_ = false;
  }

  [[noreturn]] static void rethrow_load_error(const ReadAdapter& adapter) {
    adapter.rethrow_source_error();
    try {
      rethrow_as_error("the model could not be loaded");
    } catch (const Error& error) {
      if (error.status() != Status::engine) throw;
      throw Error(Status::invalid_model, error.what());
    }
  }

  ByteSource& source_;
  const EngineLoadOptions options_;
  const at::Device device_;
  std::optional<const Archive> archive_;
  std::shared_ptr<ReadAdapter> adapter_;
  std::optional<jit::Module> module_;
  std::optional<ModuleStorages> storages_;
  std::uint64_t weight_bytes_ = 0;
  bool storages_held_ = false;
  bool unfinished_ = false;
};

CallableMethod callable(jit::Function& function, const Effects& effects, bool stateful,
                        at::Device device) {
  CallableMethod method;
  method.name = function.name();
  method.function = &function;
  method.take = {.device = device, .copy_tensors = effects.writes_inputs, .copy_unowned = stateful};
  const auto& arguments = function.getSchema().arguments();
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    method.parameters.push_back(
        {.type = arguments[i].type(),
         .fallback = arguments[i].default_value(),
         .where = "input '" + arguments[i].name() + "' of " + function.name()});
  }
  return method;
}

std::shared_ptr<ModelCommon> describe(const jit::Module& module, const EngineLoadOptions& options) {
  auto common = std::make_shared<ModelCommon>();
  common->intra_op_threads = options.intra_op_threads;
  common->inspect_only = options.inspect_only;
  const std::vector<jit::Function*> functions = callable_methods(module);
  const std::vector<Effects> effects = find_effects(module, functions);
  for (const Effects& each : effects) {
    common->description.stateful |= each.writes_state;
    common->copy_parameters |= each.writes_parameters;
  }
  for (std::size_t i = 0; i < functions.size(); ++i) {
    common->description.methods.push_back(describe_method(*functions[i]));
    common->methods.push_back(callable(*functions[i], effects[i], common->description.stateful,
                                       at_device(options.device)));
  }
  return common;
}

jit::Module optimized(jit::Module& module, const ModelDescription& description, Optimize how) {
  const auto refuse = [](const std::string& reason) {
    throw Error(Status::unsupported, "this model can't be optimised: " + reason);
  };
  if (module.is_training()) {
    refuse("it was exported in training mode; call eval() on it and publish it anew");
  }
  if (description.stateful) refuse("it has state of its own, which would become constant");
  std::vector<std::string> others;
  for (const MethodSpec& method : description.methods) {
    if (method.name != "forward") others.push_back(method.name);
  }
  if (description.methods.size() == others.size()) refuse("it has no forward");
  jit::Module frozen = jit::freeze(module, others);
  return how == Optimize::freeze ? frozen : jit::optimize_for_inference(frozen, others);
}

std::unique_ptr<EngineModel> TorchscriptLoad::finish() {
  const QuietScope quiet;
  jit::Module module = load();
  let_go();
  try {
    auto common = describe(module, options_);
    if (options_.optimize != Optimize::none && !options_.inspect_only) {
      if (options_.before_code) options_.before_code();
      module = optimized(module, common->description, options_.optimize);
      common = describe(module, options_);
    }
    common->description.weight_bytes = weight_bytes_;
    return std::make_unique<TorchscriptModel>(std::move(module), common);
  } catch (const Error&) {
    throw;
  } catch (...) {
    rethrow_as_error("the model could not be described");
  }
}

}  // namespace

void prepare_torchscript() {
  static std::once_flag once;
  // Registers every operator and compiles what old models need, as the first jit::load does.
  std::call_once(once, [] { jit::populate_upgraders_graph_map(); });
}

std::unique_ptr<EngineLoad> begin_torchscript(ByteSource& source,
                                              const EngineLoadOptions& options) {
  const QuietScope quiet;
  if (options.weights != nullptr) {
    throw Error(Status::unsupported,
                "a TorchScript file holds its weights; publish the whole new model instead of "
                "weights for an old one");
  }
  auto load = std::make_unique<TorchscriptLoad>(source, options);
  load->begin();
  return load;
}

}  // namespace ptsecure::torch_plugin
