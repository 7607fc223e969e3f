#include "libptsecure/engine/torch/compiled/call_spec.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {
namespace {

using nlohmann::json;

constexpr int kMaxTreeDepth = 64;
constexpr std::size_t kMaxNodes = 100'000;

[[noreturn]] void invalid_spec(const std::string& what) {
  throw Error(Status::invalid_model, "the call spec of the compiled model can't be read: " + what);
}

class TreeParser {
 public:
  TreeNode parse(const std::string& text) {
    json spec;
    try {
      spec = json::parse(text);
    } catch (const json::exception&) {
      invalid_spec("it is not JSON");
    }
    if (!spec.is_array() || spec.size() != 2 || spec[0] != 1) {
      invalid_spec("it isn't of the pytree protocol 1");
    }
    return node(spec[1], 0);
  }

 private:
  TreeNode node(const json& spec, int depth) {
    if (depth > kMaxTreeDepth || ++nodes_ > kMaxNodes)
      invalid_spec("its tree is too deep or too large");
    if (!spec.is_object() || !spec.contains("type") || !spec.contains("children_spec") ||
        !spec["children_spec"].is_array()) {
      invalid_spec("a node has no type or no children");
    }
    TreeNode parsed;
    for (const json& child : spec["children_spec"]) {
      parsed.children.push_back(node(child, depth + 1));
    }
    if (spec["type"].is_null()) {
      if (!parsed.children.empty()) invalid_spec("a leaf has children");
      return parsed;
    }
    if (!spec["type"].is_string()) invalid_spec("the type of a node is no name");
    parsed.type = type_named(spec["type"].get<std::string>());
    if (parsed.type == TreeNode::Type::dict) {
      parsed.keys = keys_of(spec.value("context", json()), parsed.children.size());
    }
    return parsed;
  }

  static TreeNode::Type type_named(const std::string& name) {
    using Type = TreeNode::Type;
    if (name == "builtins.tuple" || name == "collections.namedtuple") return Type::tuple;
    if (name == "builtins.list" || name == "collections.deque" ||
        name == "torch.fx.immutable_collections.immutable_list") {
      return Type::list;
    }
    if (name == "builtins.dict" || name == "collections.OrderedDict" ||
        name == "collections.defaultdict" ||
        name == "torch.fx.immutable_collections.immutable_dict") {
      return Type::dict;
    }
    throw Error(Status::unsupported,
                "the compiled model takes or returns a " + name +
                    ", which no value holds; let its forward use tensors, lists, tuples and dicts");
  }

  // The context is JSON itself, or JSON within a text: a list of keys, or for a defaultdict an
  // object that holds that list.
  static std::vector<std::string> keys_of(json context, std::size_t count) {
    if (context.is_string()) {
      context = json::parse(context.get<std::string>(), nullptr, /*allow_exceptions=*/false);
    }
    if (context.is_object()) context = context.value("dict_context", json());
    if (!context.is_array() || context.size() != count) invalid_spec("a dict has no keys");
    std::vector<std::string> keys;
    for (const json& key : context) {
      if (!key.is_string()) {
        throw Error(Status::unsupported,
                    "the compiled model takes or returns a dict whose keys are no strings; let its "
                    "forward use string keys");
      }
      keys.push_back(key.get<std::string>());
    }
    return keys;
  }

  std::size_t nodes_ = 0;
};

ValueKind kind_of(TreeNode::Type type) {
  switch (type) {
    case TreeNode::Type::list:
      return ValueKind::list;
    case TreeNode::Type::tuple:
      return ValueKind::tuple;
    case TreeNode::Type::dict:
      return ValueKind::dict;
    case TreeNode::Type::leaf:
      break;
  }
  return ValueKind::tensor;
}

[[noreturn]] void reject_call(const std::string& where, const std::string& expected) {
  throw Error(
      Status::invalid_input,
      where + " must be " + expected + ", as the model was compiled for; what it was given is not");
}

class Flattener {
 public:
  explicit Flattener(std::vector<const Value*>& leaves) : leaves_(leaves) {}

  void visit(const Value& value, const TreeNode& tree, const std::string& where) {
    switch (tree.type) {
      case TreeNode::Type::leaf:
        if (!value.items().empty() || value.is(ValueKind::dict)) reject_call(where, "a tensor");
        leaves_.push_back(&value);
        return;
      case TreeNode::Type::dict:
        return visit_dict(value, tree, where);
      case TreeNode::Type::list:
      case TreeNode::Type::tuple:
        break;
    }
    const bool sequence = value.is(ValueKind::list) || value.is(ValueKind::tuple);
    if (!sequence || value.items().size() != tree.children.size()) {
      reject_call(where, std::string("a ") + kind_name(kind_of(tree.type)) + " of " +
                             std::to_string(tree.children.size()));
    }
    for (std::size_t i = 0; i < tree.children.size(); ++i) {
      visit(value.items()[i], tree.children[i], where);
    }
  }

 private:
  void visit_dict(const Value& value, const TreeNode& tree, const std::string& where) {
    const auto* dict = value.get_if<Dict>();
    if (dict == nullptr || dict->items.size() != tree.keys.size()) {
      reject_call(where, "a dict of " + std::to_string(tree.keys.size()));
    }
    for (std::size_t i = 0; i < tree.keys.size(); ++i) {
      const auto found = std::find_if(dict->items.begin(), dict->items.end(),
                                      [&](const auto& item) { return item.first == tree.keys[i]; });
      if (found == dict->items.end()) reject_call(where, "a dict with the key " + tree.keys[i]);
      visit(found->second, tree.children[i], where);
    }
  }

  std::vector<const Value*>& leaves_;
};

Value build(const TreeNode& tree, std::vector<Value>::iterator& leaf) {
  if (tree.type == TreeNode::Type::leaf) return std::move(*leaf++);
  if (tree.type == TreeNode::Type::dict) {
    Dict dict;
    for (std::size_t i = 0; i < tree.children.size(); ++i) {
      dict.items.emplace_back(tree.keys[i], build(tree.children[i], leaf));
    }
    return dict;
  }
  ValueVector items;
  items.reserve(tree.children.size());
  for (const TreeNode& child : tree.children) items.push_back(build(child, leaf));
  if (tree.type == TreeNode::Type::list) return List{std::move(items)};
  return Tuple{std::move(items)};
}

}  // namespace

std::size_t TreeNode::leaves() const {
  if (type == Type::leaf) return 1;
  std::size_t count = 0;
  for (const TreeNode& child : children) count += child.leaves();
  return count;
}

CallSpec::CallSpec(const std::string& in_spec, const std::string& out_spec,
                   const std::vector<std::string>& names) {
  TreeNode root = TreeParser().parse(in_spec);
  if (root.type != TreeNode::Type::tuple || root.children.size() != 2 ||
      root.children[0].type != TreeNode::Type::tuple ||
      root.children[1].type != TreeNode::Type::dict) {
    invalid_spec("its arguments are no (args, kwargs)");
  }
  TreeNode& positional = root.children[0];
  for (std::size_t i = 0; i < positional.children.size(); ++i) {
    arguments_.push_back({i < names.size() ? names[i] : "input_" + std::to_string(i),
                          std::move(positional.children[i])});
  }
  TreeNode& keyword = root.children[1];
  for (std::size_t i = 0; i < keyword.children.size(); ++i) {
    arguments_.push_back({keyword.keys[i], std::move(keyword.children[i])});
  }
  for (const Argument& argument : arguments_) input_leaves_ += argument.tree.leaves();
  output_ = TreeParser().parse(out_spec);
}

std::vector<ValueSpec> CallSpec::inputs(bool leaves_are_tensors) const {
  std::vector<ValueSpec> specs;
  for (const Argument& argument : arguments_) {
    ValueSpec spec;
    spec.name = argument.name;
    if (argument.tree.type != TreeNode::Type::leaf || leaves_are_tensors) {
      spec.kind = kind_of(argument.tree.type);
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::vector<ValueSpec> CallSpec::outputs() const {
  std::vector<ValueSpec> specs;
  const auto add = [&](std::string name, const TreeNode& tree) {
    ValueSpec spec;
    spec.name = std::move(name);
    if (tree.type != TreeNode::Type::leaf) spec.kind = kind_of(tree.type);
    specs.push_back(std::move(spec));
  };
  if (output_.type == TreeNode::Type::leaf) {
    add("output_0", output_);
  } else {
    for (std::size_t i = 0; i < output_.children.size(); ++i) {
      add(output_.keys.empty() ? "output_" + std::to_string(i) : output_.keys[i],
          output_.children[i]);
    }
  }
  return specs;
}

std::vector<const Value*> CallSpec::flatten(std::span<const Value> arguments) const {
  if (arguments.size() != arguments_.size()) {
    throw Error(Status::invalid_input, "the model takes " + std::to_string(arguments_.size()) +
                                           " inputs, but was given " +
                                           std::to_string(arguments.size()));
  }
  std::vector<const Value*> leaves;
  leaves.reserve(input_leaves_);
  Flattener flattener(leaves);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Argument& expected = arguments_[i];
    if (expected.tree.type == TreeNode::Type::leaf && arguments[i].is(ValueKind::tensor)) {
      leaves.push_back(&arguments[i]);
    } else {
      flattener.visit(arguments[i], expected.tree, "input '" + expected.name + "'");
    }
  }
  return leaves;
}

Value CallSpec::unflatten(std::vector<Value>& leaves) const {
  auto leaf = leaves.begin();
  return build(output_, leaf);
}

}  // namespace ptsecure::torch_plugin
