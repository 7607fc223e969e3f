#include "libptsecure/engine/torch/script/analysis.hpp"

#include <ATen/core/jit_type.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "libptsecure/engine/torch/convert.hpp"

namespace ptsecure::torch_plugin {
namespace {

namespace jit = torch::jit;

template <class OnNode>
void for_each_node(jit::Block* block, const OnNode& on_node) {
  for (jit::Node* node : block->nodes()) {
    on_node(node);
    for (jit::Block* inner : node->blocks()) for_each_node(inner, on_node);
    if (node->hasAttribute(jit::attr::Subgraph)) {
      for_each_node(node->g(jit::attr::Subgraph)->block(), on_node);
    }
  }
}

// Normalisations keep running statistics, which their schemas do not say.
bool updates_statistics(const jit::Node* node, const c10::FunctionSchema& schema) {
  if (!schema.argumentIndexWithName("running_mean")) return false;
  for (const char* flag : {"training", "train", "use_input_stats"}) {
    if (const auto index = schema.argumentIndexWithName(flag)) {
      const auto value = jit::constant_as<bool>(node->input(static_cast<std::size_t>(*index)));
      return !value || *value;
    }
  }
  return true;
}

// The values whose contents a node changes.
std::vector<jit::Value*> written_values(jit::Node* node) {
  if (node->kind() == jit::prim::SetAttr) return {node->input(0)};
  const c10::FunctionSchema* schema = node->maybeSchema();
  if (schema == nullptr) return {};
  std::vector<jit::Value*> written;
  const std::size_t count = std::min(schema->arguments().size(), node->inputs().size());
  const bool statistics = updates_statistics(node, *schema);
  for (std::size_t i = 0; i < count; ++i) {
    const c10::Argument& argument = schema->arguments()[i];
    const bool annotated = argument.alias_info() != nullptr && argument.alias_info()->isWrite();
    const bool running = argument.name() == "running_mean" || argument.name() == "running_var";
    if (annotated || (running && statistics)) written.push_back(node->input(i));
  }
  return written;
}

bool is_call(const jit::Node* node) {
  return node->kind() == jit::prim::CallMethod || node->kind() == jit::prim::CallFunction;
}

// Everything a method calls, without inlining it: a cheap first look that most traced models pass.
class CallTree {
 public:
  explicit CallTree(jit::Graph& graph) { visit(graph); }
  bool may_write() const { return may_write_; }
  const std::unordered_set<std::string>& set_attributes() const { return set_attributes_; }

 private:
  void visit(jit::Graph& graph) {
    if (!seen_.insert(&graph).second) return;
    for_each_node(graph.block(), [this](jit::Node* node) {
      if (node->kind() == jit::prim::SetAttr) set_attributes_.insert(node->s(jit::attr::name));
      if (is_call(node)) {
        jit::GraphFunction* callee = jit::tryToGraphFunction(node);
        if (callee == nullptr) {
          may_write_ = true;
        } else {
          callee->ensure_defined();
          visit(*callee->graph());
        }
      } else if (!may_write_ && !written_values(node).empty()) {
        may_write_ = true;
      }
    });
  }

  std::unordered_set<const jit::Graph*> seen_;
  std::unordered_set<std::string> set_attributes_;
  bool may_write_ = false;
};

// The object a value is, when it is the module itself or reached from it by attributes alone.
std::optional<c10::IValue> resolve(const jit::Value* value, const jit::Graph& graph,
                                   const jit::Module& module) {
  if (value == graph.inputs().at(0)) return c10::IValue(module._ivalue());
  const jit::Node* node = value->node();
  if (node->kind() != jit::prim::GetAttr) return std::nullopt;
  const auto owner = resolve(node->input(), graph, module);
  if (!owner || !owner->isObject()) return std::nullopt;
  const auto& object = owner->toObjectRef();
  const auto slot = object.type()->findAttributeSlot(node->s(jit::attr::name));
  if (!slot || *slot >= object.slots().size()) return std::nullopt;
  return object.getSlot(*slot);
}

// Replaces flags like `training` that nothing sets by what they are, so that branches not taken
// fall away.
void fold_flags(const std::shared_ptr<jit::Graph>& graph, const jit::Module& module,
                const std::unordered_set<std::string>& set_attributes) {
  std::vector<jit::Node*> flags;
  for_each_node(graph->block(), [&](jit::Node* node) {
    if (node->kind() != jit::prim::GetAttr || node->owningGraph() != graph.get()) return;
    const auto kind = node->output()->type()->kind();
    const bool flag = kind == c10::TypeKind::BoolType || kind == c10::TypeKind::IntType ||
                      kind == c10::TypeKind::FloatType || kind == c10::TypeKind::StringType;
    if (flag && !set_attributes.contains(node->s(jit::attr::name))) flags.push_back(node);
  });
  for (jit::Node* node : flags) {
    const auto value = resolve(node->output(), *graph, module);
    if (!value) continue;
    const jit::WithInsertPoint insert_at(node);
    node->output()->replaceAllUsesWith(graph->insertConstant(*value));
  }
}

bool share_a_set(const c10::AliasInfo& a, const c10::AliasInfo& b) {
  return std::any_of(a.beforeSets().begin(), a.beforeSets().end(),
                     [&](const c10::Symbol& set) { return b.beforeSets().contains(set); });
}

struct Origins {
  bool state = false, inputs = false, parameters = false;
};

// Where the memory of a value may come from, followed backwards through the graph.
class OriginFinder {
 public:
  OriginFinder(const jit::Graph& graph, const jit::Module& module)
      : graph_(graph), module_(module) {}

  Origins find(const jit::Value* value) {
    seen_.clear();
    found_ = {};
    visit(value);
    return found_;
  }

 private:
  void visit(const jit::Value* value) {
    if (!seen_.insert(value).second) return;
    const jit::Node* node = value->node();
    switch (node->kind()) {
      case jit::prim::Param:
        return visit_parameter(value);
      case jit::prim::GetAttr:
        return visit_attribute(value);
      case jit::prim::CreateObject:
        return;
      case jit::prim::ListConstruct:
      case jit::prim::DictConstruct:
        return;  // the container is new; its elements: visit_element
      case jit::prim::If:
        return visit_block_outputs(node, value->offset(), 0);
      case jit::prim::Loop:
        visit(node->input(value->offset() + 2));
        return visit_block_outputs(node, value->offset(), 1);
      case jit::prim::TupleConstruct:
      case jit::prim::TupleUnpack:
      case jit::prim::TupleIndex:
      case jit::prim::unchecked_cast:
      case jit::prim::unchecked_unwrap_optional:
        return visit_all(node->inputs());
      default:
        break;
    }
    if (const c10::FunctionSchema* schema = node->maybeSchema())
      return visit_operator(*schema, value);
    found_.state = true;
  }

  void visit_all(at::ArrayRef<const jit::Value*> values) {
    for (const jit::Value* value : values) visit(value);
  }

  void visit_block_outputs(const jit::Node* node, std::size_t offset, std::size_t skip) {
    for (const jit::Block* block : node->blocks()) visit(block->outputs().at(offset + skip));
  }

  void visit_parameter(const jit::Value* value) {
    const auto inputs = graph_.inputs();
    const auto found = std::find(inputs.begin(), inputs.end(), value);
    if (found == inputs.begin()) {
      found_.state = true;
    } else if (found != inputs.end()) {
      found_.inputs = true;
    } else {
      const jit::Block* block = value->node()->owningBlock();
      const jit::Node* owner = block->owningNode();
      if (owner == nullptr || owner->kind() != jit::prim::Loop) {
        found_.state = true;
      } else if (value->offset() > 0) {  // the first is the iteration number
        visit(owner->input(value->offset() + 1));
        visit(block->outputs().at(value->offset()));
      }
    }
  }

  void visit_attribute(const jit::Value* value) {
    found_.state = true;
    const jit::Node* node = value->node();
    const auto owner = resolve(node->input(), graph_, module_);
    if (!owner || !owner->isObject()) {
      found_.parameters = true;
      return;
    }
    const auto type = owner->toObjectRef().type();
    const auto slot = type->findAttributeSlot(node->s(jit::attr::name));
    if (slot && *slot < type->numAttributes() && type->is_parameter(*slot))
      found_.parameters = true;
  }

  void visit_operator(const c10::FunctionSchema& schema, const jit::Value* value) {
    const jit::Node* node = value->node();
    if (node->kind() == jit::prim::Constant) {
      found_.state = true;
      return;
    }
    if (schema.is_varret() || value->offset() >= schema.returns().size()) {
      return visit_all(node->inputs());
    }
    const c10::AliasInfo* alias = schema.returns()[value->offset()].alias_info();
    if (alias == nullptr) return;
    if (alias->isWildcardBefore() || alias->isWildcardAfter()) {
      found_.state = true;  // an element of a list or dict, which may hold anything
      return;
    }
    const std::size_t count = std::min(schema.arguments().size(), node->inputs().size());
    for (std::size_t i = 0; i < count; ++i) {
      const c10::AliasInfo* argument = schema.arguments()[i].alias_info();
      if (argument != nullptr && share_a_set(*argument, *alias)) visit(node->input(i));
    }
  }

  const jit::Graph& graph_;
  const jit::Module& module_;
  std::unordered_set<const jit::Value*> seen_;
  Origins found_;
};

Effects find_effects_of(const jit::Module& module, jit::Function* method,
                        const std::unordered_set<std::string>& set_attributes) {
  std::shared_ptr<jit::Graph> graph = jit::toGraphFunction(*method).graph()->copy();
  jit::Inline(*graph);
  fold_flags(graph, module, set_attributes);
  jit::ConstantPropagationImmutableTypes(graph);

  Effects effects;
  OriginFinder origins(*graph, module);
  for_each_node(graph->block(), [&](jit::Node* node) {
    if (is_call(node) || (node->owningGraph() != graph.get() && !written_values(node).empty())) {
      effects = {.writes_state = true, .writes_parameters = true, .writes_inputs = true};
      return;
    }
    for (const jit::Value* value : written_values(node)) {
      const Origins found = origins.find(value);
      effects.writes_state |= found.state;
      effects.writes_parameters |= found.parameters && node->kind() != jit::prim::SetAttr;
      effects.writes_inputs |= found.inputs;
    }
  });
  return effects;
}

ValueSpec value_spec(const std::string& name, const c10::Type& type) {
  ValueSpec spec;
  spec.name = name;
  spec.kind = kind_of(type);
  spec.optional = type.kind() == c10::TypeKind::OptionalType;
  return spec;
}

}  // namespace

std::vector<Effects> find_effects(const jit::Module& module,
                                  const std::vector<jit::Function*>& methods) {
  std::vector<bool> may_write;
  std::unordered_set<std::string> set_attributes;
  for (jit::Function* method : methods) {
    method->ensure_defined();
    const CallTree tree(*jit::toGraphFunction(*method).graph());
    may_write.push_back(tree.may_write());
    set_attributes.insert(tree.set_attributes().begin(), tree.set_attributes().end());
  }
  std::vector<Effects> effects;
  for (std::size_t i = 0; i < methods.size(); ++i) {
    effects.push_back(may_write[i] ? find_effects_of(module, methods[i], set_attributes)
                                   : Effects{});
  }
  return effects;
}

std::vector<jit::Function*> callable_methods(const jit::Module& module) {
  std::vector<jit::Function*> methods;
  for (jit::Function* method : module.type()->methods()) {
    if (!method->name().starts_with("_") && method->isGraphFunction()) methods.push_back(method);
  }
  std::stable_partition(methods.begin(), methods.end(),
                        [](const jit::Function* method) { return method->name() == "forward"; });
  return methods;
}

MethodSpec describe_method(const jit::Function& method) {
  const c10::FunctionSchema& schema = method.getSchema();
  MethodSpec spec;
  spec.name = method.name();
  for (std::size_t i = 1; i < schema.arguments().size(); ++i) {
    const c10::Argument& argument = schema.arguments()[i];
    spec.inputs.push_back(value_spec(argument.name(), *argument.type()));
    spec.inputs.back().optional |= argument.default_value().has_value();
  }
  if (schema.returns().empty()) return spec;
  const c10::TypePtr returned = schema.returns().front().type();
  if (const auto tuple = returned->cast<c10::TupleType>()) {
    const auto names = tuple->names();
    for (std::size_t i = 0; i < tuple->elements().size(); ++i) {
      const std::string name = names ? std::string(names->at(i)) : "output_" + std::to_string(i);
      spec.outputs.push_back(value_spec(name, *tuple->elements()[i]));
    }
  } else if (returned->kind() != c10::TypeKind::NoneType) {
    spec.outputs.push_back(value_spec("output_0", *returned));
  }
  return spec;
}

}  // namespace ptsecure::torch_plugin
