#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/value/spec.hpp"
#include "libptsecure/value/value.hpp"

// How a compiled model is called: the trees of its arguments and results, as torch.export's pytrees
// describe them. A model itself takes and gives the leaves of these trees in order. No torch here.
namespace ptsecure::torch_plugin {

struct TreeNode {
  enum class Type { leaf, list, tuple, dict };
  Type type = Type::leaf;
  std::vector<std::string> keys;  // of a dict, one for each child
  std::vector<TreeNode> children;

  std::size_t leaves() const;
};

class CallSpec {
 public:
  // The texts that treespec_dumps() wrote into the library. `names` are those of the positional
  // arguments, as far as known; others are called input_0, input_1 ... Throws
  // Error(Status::unsupported) for a node that a value tree can't hold, invalid_model for what is
  // no spec.
  CallSpec(const std::string& in_spec, const std::string& out_spec,
           const std::vector<std::string>& names);

  struct Argument {
    std::string name;
    TreeNode tree;
  };
  // The positional arguments, then those by keyword.
  const std::vector<Argument>& arguments() const { return arguments_; }
  std::size_t input_leaves() const { return input_leaves_; }
  std::size_t output_leaves() const { return output_.leaves(); }

  // Names and kinds; a leaf is a tensor where `leaves_are_tensors`, else of any kind.
  std::vector<ValueSpec> inputs(bool leaves_are_tensors) const;
  std::vector<ValueSpec> outputs() const;

  // The leaves of the arguments in order. Throws Error(Status::invalid_input), naming the argument,
  // when they don't have the structure that was compiled for. The pointers lie in `arguments`.
  std::vector<const Value*> flatten(std::span<const Value> arguments) const;
  // The result tree around the leaves, which are moved from; as many as output_leaves().
  Value unflatten(std::vector<Value>& leaves) const;

 private:
  std::vector<Argument> arguments_;
  TreeNode output_;
  std::size_t input_leaves_ = 0;
};

}  // namespace ptsecure::torch_plugin
