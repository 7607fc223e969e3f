#include "libptsecure/protocol/v2_tree.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "libptsecure/base/text.hpp"
#include "libptsecure/value/half.hpp"

namespace ptsecure {
namespace {

constexpr std::size_t kMaxPath = 16;

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw Error(Status::invalid_input, "input `" + printable_name(name) + "` " + what);
}

template <class T>
T element(const Tensor& tensor, std::int64_t index) {
  return static_cast<const T*>(tensor.data)[index];
}

// One element as a bool, int or float; nothing when it is complex or a uint64 over 63 bits.
std::optional<Value> scalar_at(const Tensor& tensor, std::int64_t index) {
  const auto integer = [](auto value) { return Value(static_cast<std::int64_t>(value)); };
  switch (tensor.dtype) {
    case DType::boolean:
      return Value(element<std::uint8_t>(tensor, index) != 0);
    case DType::uint8:
      return integer(element<std::uint8_t>(tensor, index));
    case DType::uint16:
      return integer(element<std::uint16_t>(tensor, index));
    case DType::uint32:
      return integer(element<std::uint32_t>(tensor, index));
    case DType::uint64: {
      const auto value = element<std::uint64_t>(tensor, index);
      if (!std::in_range<std::int64_t>(value)) return std::nullopt;
      return integer(value);
    }
    case DType::int8:
      return integer(element<std::int8_t>(tensor, index));
    case DType::int16:
      return integer(element<std::int16_t>(tensor, index));
    case DType::int32:
      return integer(element<std::int32_t>(tensor, index));
    case DType::int64:
      return Value(element<std::int64_t>(tensor, index));
    case DType::float16:
      return Value(static_cast<double>(half_to_float(element<std::uint16_t>(tensor, index))));
    case DType::bfloat16:
      return Value(static_cast<double>(bfloat16_to_float(element<std::uint16_t>(tensor, index))));
    case DType::float32:
      return Value(static_cast<double>(element<float>(tensor, index)));
    case DType::float64:
      return Value(element<double>(tensor, index));
    default:
      return std::nullopt;
  }
}

void check_list(const std::string& name, std::size_t size, const V2Limits& limits) {
  if (size > limits.max_list_items) {
    throw Error(Status::limit_exceeded, "input `" + printable_name(name) + "` is a list of " +
                                            std::to_string(size) + " items, but at most " +
                                            std::to_string(limits.max_list_items) +
                                            " are taken: give a tensor");
  }
}

Value from_strings(const std::string& name, std::vector<std::string> strings, ValueKind kind,
                   const V2Limits& limits) {
  const bool sequence = kind == ValueKind::list || kind == ValueKind::tuple;
  if (strings.size() == 1 && !sequence) return Value(std::move(strings.front()));
  check_list(name, strings.size(), limits);
  List list;
  list.items.reserve(strings.size());
  for (std::string& text : strings) list.items.emplace_back(std::move(text));
  return Value(std::move(list));
}

// The tensor as it is when it can't be what is expected: bind_inputs() then says so.
Value from_tensor(const std::string& name, Tensor tensor, ValueKind kind, const V2Limits& limits) {
  const bool one =
      kind == ValueKind::boolean || kind == ValueKind::integer || kind == ValueKind::real;
  if (one && tensor.numel() == 1) {
    const std::optional<Value> value = scalar_at(tensor, 0);
    const bool number = value && value->is(ValueKind::integer) && kind == ValueKind::real;
    if (value && (value->is(kind) || number)) return *value;
  }
  const bool sequence = kind == ValueKind::list || kind == ValueKind::tuple;
  if (!sequence || tensor.shape.size() != 1) return Value(std::move(tensor));
  const std::int64_t count = tensor.numel();
  check_list(name, static_cast<std::size_t>(count), limits);
  List list;
  list.items.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    std::optional<Value> value = scalar_at(tensor, i);
    if (!value) return Value(std::move(tensor));
    list.items.push_back(std::move(*value));
  }
  return Value(std::move(list));
}

Value to_value(const std::string& name, V2Elements elements, ValueKind kind,
               const V2Limits& limits) {
  return elements.tensor ? from_tensor(name, std::move(*elements.tensor), kind, limits)
                         : from_strings(name, std::move(elements.strings), kind, limits);
}

// A list, tuple or dict that arrives leaf by leaf.
struct Node {
  std::string key;
  std::optional<Value> leaf;
  std::vector<Node> children;
};

void insert(Node& root, const std::string& name, std::string_view path, Value value) {
  Node* node = &root;
  for (std::size_t depth = 0;; ++depth) {
    if (depth == kMaxPath) refuse(name, "names a leaf more than 16 levels deep");
    const std::size_t dot = path.find('.');
    const std::string_view key = path.substr(0, dot);
    const auto child = std::find_if(node->children.begin(), node->children.end(),
                                    [&](const Node& candidate) { return candidate.key == key; });
    node = child != node->children.end()
               ? &*child
               : &node->children.emplace_back(Node{std::string(key), {}, {}});
    if (node->leaf) refuse(name, "stands where another input is already");
    if (dot == std::string_view::npos) break;
    path.remove_prefix(dot + 1);
  }
  if (!node->children.empty()) refuse(name, "stands where another input is already");
  node->leaf = std::move(value);
}

// The children in the order of their numbers; empty when they aren't 0, 1, 2 ...
std::vector<Node*> numbered(std::vector<Node>& children) {
  std::vector<Node*> order(children.size(), nullptr);
  for (Node& child : children) {
    const std::size_t digits = child.key.size();
    const bool number = digits > 0 && digits <= 6 &&
                        child.key.find_first_not_of("0123456789") == std::string::npos &&
                        (digits == 1 || child.key[0] != '0');
    const std::size_t index = number ? std::stoul(child.key) : order.size();
    if (index >= order.size() || order[index] != nullptr) return {};
    order[index] = &child;
  }
  return order;
}

Value build(Node& node, std::optional<ValueKind> kind, const std::string& name) {
  if (node.leaf) return std::move(*node.leaf);
  std::vector<Node*> order;
  if (kind != ValueKind::dict) order = numbered(node.children);
  if (kind && kind != ValueKind::dict && order.empty()) {
    refuse(name, std::string("is a ") + kind_name(*kind) + ": its items must be named `" +
                     printable_name(name) + ".0`, `" + printable_name(name) + ".1` and so on");
  }
  if (order.empty()) {
    Dict dict;
    for (Node& child : node.children) dict.items.emplace_back(child.key, build(child, {}, name));
    return Value(std::move(dict));
  }
  ValueVector items;
  for (Node* child : order) items.push_back(build(*child, {}, name));
  if (kind == ValueKind::tuple) return Value(Tuple{std::move(items)});
  return Value(List{std::move(items)});
}

bool nests(const ValueSpec& spec) {
  return spec.kind == ValueKind::list || spec.kind == ValueKind::tuple ||
         spec.kind == ValueKind::dict;
}

const ValueSpec* find_exact(const std::vector<ValueSpec>& inputs, const std::string& name) {
  const auto found = std::find_if(inputs.begin(), inputs.end(),
                                  [&](const ValueSpec& spec) { return spec.name == name; });
  return found != inputs.end() ? &*found : nullptr;
}

// The nesting input whose name and a dot `name` begins with; the longest when several do.
const ValueSpec* find_parent(const std::vector<ValueSpec>& inputs, const std::string& name) {
  const ValueSpec* best = nullptr;
  for (const ValueSpec& spec : inputs) {
    const bool inside = name.size() > spec.name.size() && name[spec.name.size()] == '.' &&
                        name.starts_with(spec.name);
    if (inside && nests(spec) && (best == nullptr || spec.name.size() > best->name.size())) {
      best = &spec;
    }
  }
  return best;
}

}  // namespace

std::vector<NamedValue> v2_assemble(std::vector<std::pair<std::string, V2Elements>> elements,
                                    const std::vector<ValueSpec>& inputs, const V2Limits& limits) {
  struct Nested {
    const ValueSpec* spec;
    std::size_t position;
    Node root;
  };
  std::vector<NamedValue> values;
  std::vector<Nested> nested;
  std::set<std::string> names;
  for (auto& [name, data] : elements) {
    if (!names.insert(name).second) refuse(name, "was given twice");
    const ValueSpec* spec = find_exact(inputs, name);
    const ValueSpec* parent = spec == nullptr ? find_parent(inputs, name) : nullptr;
    const ValueKind kind = spec != nullptr && spec->kind ? *spec->kind : ValueKind::none;
    Value value = to_value(name, std::move(data), kind, limits);
    if (parent == nullptr) {
      values.emplace_back(name, std::move(value));
      continue;
    }
    auto tree = std::find_if(nested.begin(), nested.end(),
                             [&](const Nested& candidate) { return candidate.spec == parent; });
    if (tree == nested.end()) {
      nested.push_back({parent, values.size(), {}});
      values.emplace_back(parent->name, Value());
      tree = nested.end() - 1;
    }
    insert(tree->root, name, std::string_view(name).substr(parent->name.size() + 1),
           std::move(value));
  }
  for (Nested& tree : nested) {
    values[tree.position].second = build(tree.root, tree.spec->kind, tree.spec->name);
  }
  return values;
}

}  // namespace ptsecure
