#include "libptsecure/engine/torch/compiled/aotinductor.hpp"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libptsecure/engine/torch/compiled/compiled_program.hpp"
#include "libptsecure/engine/torch/compiled/platform.hpp"
#include "libptsecure/engine/torch/compiled/pt2_package.hpp"
#include "libptsecure/engine/torch/errors.hpp"
#include "libptsecure/engine/torch/files/archive.hpp"
#include "libptsecure/engine/torch/quiet.hpp"
#include "libptsecure/engine/torch/threads.hpp"

namespace ptsecure::torch_plugin {
namespace {

constexpr std::string_view kForward = "forward";
constexpr std::string_view kMainModel = "model";
// Written by those who compile for publishing: the names of forward's positional arguments, and the
// least extents of each tensor that it takes.
constexpr const char* kInputNames = "PTSECURE_INPUTS";
constexpr const char* kLeastExtents = "PTSECURE_LEAST";

using Programs = std::vector<std::shared_ptr<CompiledProgram>>;

// "model" is forward, or else the only one there is.
std::string method_of(const CompiledModel& model, std::size_t models) {
  return models == 1 || model.name == kMainModel ? std::string(kForward) : model.name;
}

[[noreturn]] void throw_several_models() {
  throw Error(Status::unsupported,
              "weights alone can't be given to a package of several compiled models");
}

// What was noted points into memory that goes with whatever failed.
class DiscardUnlessFinished {
 public:
  explicit DiscardUnlessFinished(ByteSource& source)
      : source_(source), exceptions_(std::uncaught_exceptions()) {}
  ~DiscardUnlessFinished() {
    if (std::uncaught_exceptions() > exceptions_) source_.discard_deferred();
  }
  DiscardUnlessFinished(const DiscardUnlessFinished&) = delete;
  DiscardUnlessFinished& operator=(const DiscardUnlessFinished&) = delete;

 private:
  ByteSource& source_;
  int exceptions_;
};

class AotinductorModel final : public EngineModel {
 public:
  struct Common {
    ModelDescription description;
    int intra_op_threads = 0;
    bool inspect_only = false;
  };

  AotinductorModel(Programs programs, std::shared_ptr<const Common> common)
      : programs_(std::move(programs)), common_(std::move(common)) {}

  const ModelDescription& description() const override { return common_->description; }

  Value infer(const std::string& name, std::span<const Value> arguments) override {
    if (common_->inspect_only) {
      throw Error(
          Status::invalid_argument,
          "the model was loaded only to be described; load it without inspect_only to run it");
    }
    CompiledProgram& program = find(name);
    try {
      const QuietScope quiet;
      const c10::InferenceMode inference;
      const IntraOpThreads threads(common_->intra_op_threads);
      return program.run(arguments);
    } catch (...) {
      rethrow_as_error(name);
    }
  }

  void replace_weights(ByteSource& source, bool package) override {
    if (common_->inspect_only) {
      throw Error(Status::invalid_argument, "the model was loaded only to be described");
    }
    const c10::InferenceMode inference;
    const DiscardUnlessFinished guard(source);
    try {
      std::vector<AotiWeights> weights =
          package ? read_package(source) : std::vector<AotiWeights>{read_weights(source)};
      source.finish();
      for (std::size_t i = 0; i < programs_.size(); ++i) {
        const ProgramInfo& info = programs_[i]->info();
        programs_[i]->replace_weights(
            weights[i].laid_out(info.constants).on(info.take.device, info.constants));
      }
    } catch (...) {
      rethrow_as_error("the weights could not be replaced");
    }
  }

  std::unique_ptr<EngineModel> fork() const override {
    try {
      const c10::InferenceMode inference;
      Programs forked;
      for (const auto& program : programs_) forked.push_back(CompiledProgram::fork(program));
      return std::make_unique<AotinductorModel>(std::move(forked), common_);
    } catch (...) {
      rethrow_as_error("fork");
    }
  }

 private:
  CompiledProgram& find(const std::string& name) const {
    std::string names;
    for (const auto& program : programs_) {
      if (program->info().method == name) return *program;
      names += (names.empty() ? "" : ", ") + program->info().method;
    }
    throw Error(Status::invalid_input, "the model has no method \"" + name + "\"; it has " + names);
  }

  AotiWeights read_weights(ByteSource& source) const {
    if (programs_.size() != 1) throw_several_models();
    const auto& rules = programs_.front()->info().constants;
    return AotiWeights::of_checkpoint(source, rules).completed_by(programs_.front()->defaults());
  }

  // In the order of programs_. What the program is in was checked when it was opened.
  std::vector<AotiWeights> read_package(ByteSource& source) const {
    const Archive archive(source);
    const Pt2Package package(archive, source);
    std::vector<AotiWeights> weights;
    for (const auto& program : programs_) {
      const auto model = std::find_if(
          package.models().begin(), package.models().end(), [&](const CompiledModel& each) {
            return method_of(each, package.models().size()) == program->info().method;
          });
      if (model == package.models().end() || (model->blob == nullptr && model->pickled.empty())) {
        throw Error(Status::unsupported,
                    "the weights of that version lie in its compiled library; open it anew");
      }
      weights.push_back(
          AotiWeights::of_package(source, archive, *model, program->info().constants));
    }
    return weights;
  }

  Programs programs_;
  std::shared_ptr<const Common> common_;
};

// A list of the package's metadata; empty when there is none.
nlohmann::json list_of(const CompiledModel& model, const char* key) {
  const auto found = model.metadata.find(key);
  if (found == model.metadata.end()) return nlohmann::json::array();
  auto list = nlohmann::json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  return list.is_array() ? list : nlohmann::json::array();
}

std::vector<std::string> input_names(const CompiledModel& model) {
  std::vector<std::string> names;
  for (const auto& name : list_of(model, kInputNames)) {
    if (name.is_string()) names.push_back(name.get<std::string>());
  }
  return names;
}

// They can only make the rules stricter.
void apply_least_extents(const CompiledModel& model, std::vector<TensorRule>& rules) {
  const nlohmann::json tensors = list_of(model, kLeastExtents);
  for (std::size_t i = 0; i < std::min(tensors.size(), rules.size()); ++i) {
    std::vector<std::int64_t>& least = rules[i].least;
    if (!tensors[i].is_array()) continue;
    for (std::size_t axis = 0; axis < std::min(tensors[i].size(), least.size()); ++axis) {
      const auto& extent = tensors[i][axis];
      if (!extent.is_number_integer()) continue;
      least[axis] = std::max(least[axis], extent.get<std::int64_t>());
    }
  }
}

// A name for each tensor the code takes, for messages.
std::vector<std::string> names_of_tensors(const ProgramInfo& info) {
  std::vector<std::string> names;
  if (info.spec.input_leaves() == info.inputs.tensors.size()) {
    for (const CallSpec::Argument& argument : info.spec.arguments()) {
      const bool alone = argument.tree.type == TreeNode::Type::leaf;
      names.insert(
          names.end(), argument.tree.leaves(),
          (alone ? "input '" : "a tensor of input '") + argument.name + "' of " + info.method);
    }
    return names;
  }
  for (std::size_t i = 0; i < info.inputs.tensors.size(); ++i) {
    names.push_back("tensor " + std::to_string(i) + " of the inputs of " + info.method);
  }
  return names;
}

MethodSpec describe(const ProgramInfo& info) {
  const bool tensors_only = info.spec.input_leaves() == info.inputs.tensors.size();
  MethodSpec method{.name = info.method,
                    .inputs = info.spec.inputs(tensors_only),
                    .outputs = info.spec.outputs()};
  std::size_t leaf = 0;
  for (std::size_t i = 0; tensors_only && i < method.inputs.size(); ++i) {
    const TreeNode& tree = info.spec.arguments()[i].tree;
    if (tree.type == TreeNode::Type::leaf) {
      method.inputs[i].dtype = info.inputs.tensors[leaf].dtype;
      method.inputs[i].shape = info.inputs.tensors[leaf].shape;
    }
    leaf += tree.leaves();
  }
  return method;
}

class Loader {
 public:
  Loader(ByteSource& source, const EngineLoadOptions& options, const std::string& torch_version)
      : source_(source),
        options_(options),
        torch_version_(torch_version),
        archive_(source),
        package_(archive_, source) {}
  ~Loader() {
    if (!unfinished_) return;
    source_.discard_deferred();  // into memory that is about to go
    if (options_.weights != nullptr) options_.weights->discard_deferred();
  }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  std::unique_ptr<EngineModel> load() {
    require_platforms();
    begin_weights();
    provide_libtorch();
    std::vector<Part> parts;
    for (const CompiledModel& model : package_.models()) parts.push_back(open(model));
    for (Part& part : parts) find_weights(part);
    if (!options_.inspect_only) {
      source_.finish();
      blobs_.clear();
      if (options_.weights != nullptr) options_.weights->finish();
      unfinished_ = false;
    }
    auto common = std::make_shared<AotinductorModel::Common>();
    common->intra_op_threads = options_.intra_op_threads;
    common->inspect_only = options_.inspect_only;
    Programs programs;
    for (Part& part : parts) {
      describe_in(common->description, part);
      programs.push_back(start(std::move(part)));
    }
    return std::make_unique<AotinductorModel>(std::move(programs), std::move(common));
  }

 private:
  struct Part {
    const CompiledModel* model = nullptr;
    std::shared_ptr<MemoryLibrary> library;
    std::unique_ptr<AotiRunner> runner;
    std::shared_ptr<ProgramInfo> info;
    std::optional<AotiWeights> weights;
    std::optional<AotiWeights> rest;  // the package's own, of those that the given may leave out
    bool lent = false;                // the weights are ours, and the runner is to be told of them
  };

  // They are decrypted while the loader maps the code.
  void begin_weights() {
    if (options_.inspect_only || options_.weights != nullptr) return;
    unfinished_ = true;
    for (const CompiledModel& model : package_.models()) {
      if (model.blob != nullptr) blobs_[&model] = AotiWeights::begin_blob(source_, *model.blob);
    }
    if (!blobs_.empty()) source_.begin_deferred();
  }

  // All of them before any code is mapped.
  void require_platforms() const {
    const std::string features = cpu_features();
    for (const CompiledModel& model : package_.models()) {
      require_platform(model.metadata, device_type(model), torch_version_, features);
      if (model.source.empty()) {
        throw Error(Status::invalid_model,
                    "the package is incomplete: the model " + model.name +
                        " has no generated source (.wrapper.cpp), which says what its inputs are");
      }
    }
  }

  // Only to be described, it needn't run here.
  std::string device_type(const CompiledModel& model) const {
    if (options_.inspect_only) {
      const auto found = model.metadata.find("AOTI_DEVICE_KEY");
      if (found != model.metadata.end()) return found->second;
    }
    return options_.device.type == DeviceType::cpu ? "cpu" : "cuda";
  }

  Part open(const CompiledModel& model) const {
    Part part;
    part.model = &model;
    const std::uint64_t begin = record_begin(source_, *model.library);
    part.library = MemoryLibrary::open(model.library->size, [&](void* memory) {
      source_.read(begin, memory, model.library->size);
      if (options_.before_code) options_.before_code();  // it is mapped next
    });
    AotiRunner::require_symbols(*part.library);
    const std::string device =
        device_type(model) == "cpu" ? "cpu" : "cuda:" + std::to_string(options_.device.index);
    part.runner = std::make_unique<AotiRunner>(*part.library, program_instances(), device);
    part.info = inform(part, device);
    return part;
  }

  std::shared_ptr<ProgramInfo> inform(const Part& part, const std::string& device) const {
    const CompiledModel& model = *part.model;
    const std::vector<std::string> spec = part.runner->get_call_spec();
    auto rules = read_input_rules(model.source, part.runner->input_count(*part.library));
    if (!rules) {
      throw Error(Status::invalid_model,
                  "the generated source (.wrapper.cpp) of the model " + model.name +
                      " doesn't describe its inputs in a way that this version knows; it was "
                      "compiled by another version of torch than the libtorch in use");
    }
    apply_least_extents(model, rules->tensors);
    auto info = std::make_shared<ProgramInfo>(
        ProgramInfo{.method = method_of(model, package_.models().size()),
                    .spec = CallSpec(spec.at(0), spec.at(1), input_names(model)),
                    .inputs = std::move(*rules),
                    .constants = read_constant_rules(model.source, part.runner->constant_count()),
                    .take = {},
                    .device = device,
                    .input_names = {},
                    .operators = {}});
    require_same_constants(part, *info);
    info->stateful = std::any_of(info->constants.begin(), info->constants.end(),
                                 [](const ConstantRule& rule) { return rule.written; });
    info->folds = std::any_of(info->constants.begin(), info->constants.end(),
                              [](const ConstantRule& rule) { return rule.folded; });
    info->take = {.device = device == "cpu" ? at::Device(at::kCPU) : at_device(options_.device),
                  .copy_unowned = info->stateful};
    info->input_names = names_of_tensors(*info);
    if (!model.extern_nodes.empty()) {
      info->operators = std::make_shared<ExternOperators>(model.extern_nodes, info->take.device,
                                                          options_.inspect_only);
      part.runner->set_operators(info->operators);
    }
    return info;
  }

  // The source must be that of the library.
  static void require_same_constants(const Part& part, const ProgramInfo& info) {
    const auto names = part.runner->getConstantNamesToOriginalFQNs();
    const auto dtypes = part.runner->getConstantNamesToDtypes();
    for (const ConstantRule& rule : info.constants) {
      const auto name = names.find(rule.name);
      const auto dtype = dtypes.find(rule.name);
      const bool same = name != names.end() && name->second == rule.fqn && dtype != dtypes.end() &&
                        (!rule.plain || dtype->second == static_cast<int>(scalar_type(rule.dtype)));
      if (!same) {
        throw Error(Status::invalid_model, "the generated source of the model " + part.model->name +
                                               " is not that of its library: the weight " +
                                               rule.fqn + " differs");
      }
    }
  }

  void find_weights(Part& part) {
    const auto& rules = part.info->constants;
    unfinished_ = true;
    if (options_.weights != nullptr) {
      if (package_.models().size() != 1) throw_several_models();
      part.weights = AotiWeights::of_checkpoint(*options_.weights, rules);
      part.lent = true;
    }
    const bool any = std::any_of(rules.begin(), rules.end(),
                                 [](const ConstantRule& rule) { return !rule.folded; });
    const bool outside = any && (part.model->blob != nullptr || !part.model->pickled.empty());
    if (options_.inspect_only && outside) return;
    const auto which = part.weights ? AotiWeights::Which::optional : AotiWeights::Which::all;
    AotiWeights own = outside ? AotiWeights::of_package(source_, archive_, *part.model, rules,
                                                        which, blobs_[part.model])
                              : AotiWeights::of_runner(*part.runner, rules, which);
    if (part.weights) {
      part.rest = std::move(own);
    } else {
      part.weights = std::move(own);
      part.lent = outside;
    }
  }

  static std::uint64_t weight_bytes(const ProgramInfo& info) {
    std::uint64_t bytes = 0;
    for (const ConstantRule& rule : info.constants) {
      if (rule.folded) continue;
      std::uint64_t elements = 1;
      for (const std::int64_t extent : rule.shape) elements *= static_cast<std::uint64_t>(extent);
      bytes += elements * dtype_size(rule.dtype);
    }
    return bytes;
  }

  static void describe_in(ModelDescription& description, const Part& part) {
    MethodSpec method = describe(*part.info);
    const auto place =
        method.name == kForward ? description.methods.begin() : description.methods.end();
    description.methods.insert(place, std::move(method));
    description.stateful = description.stateful || part.info->stateful;
    description.weight_bytes += weight_bytes(*part.info);
  }

  std::shared_ptr<CompiledProgram> start(Part part) const {
    const auto& rules = part.info->constants;
    const bool runs = !options_.inspect_only;
    AotiWeights defaults;
    if (runs) defaults = (part.rest ? *part.rest : *part.weights).optional_ones(rules);
    if (part.lent && runs) {
      if (part.rest) part.weights = part.weights->completed_by(defaults);
      part.weights = part.weights->laid_out(rules).on(part.info->take.device, rules);
      AotiRunner::Constants constants = part.weights->by_name(rules);
      part.runner->update_constant_buffer(constants, /*use_inactive=*/false,
                                          /*validate_full_updates=*/false, /*user_managed=*/true);
    }
    if (part.info->folds && runs) part.runner->fold(/*use_inactive=*/false);
    auto program = std::make_shared<CompiledProgram>(
        std::move(part.library), std::move(part.runner), part.info,
        part.weights ? *part.weights : AotiWeights(), std::move(defaults));
    // A fork shares what the code doesn't change, which a runner of its own would let go.
    if (part.info->stateful && !part.lent && runs) {
      program->replace_weights(part.weights->copied());
    }
    return program;
  }

  ByteSource& source_;
  const EngineLoadOptions& options_;
  const std::string& torch_version_;
  const Archive archive_;
  const Pt2Package package_;
  std::map<const CompiledModel*, at::Tensor> blobs_;  // begun, until they are a part's weights
  bool unfinished_ = false;
};

}  // namespace

std::unique_ptr<EngineModel> load_aotinductor(ByteSource& source, const EngineLoadOptions& options,
                                              const std::string& torch_version) {
  const QuietScope quiet;
  const c10::InferenceMode inference;
  try {
    return Loader(source, options, torch_version).load();
  } catch (...) {
    rethrow_as_error("the compiled model could not be loaded");
  }
}

}  // namespace ptsecure::torch_plugin
