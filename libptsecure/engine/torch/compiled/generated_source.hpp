#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/engine/torch/compiled/shape_relations.hpp"
#include "libptsecure/value/value.hpp"

// What the C++ that AOTInductor generated says about the model it was compiled from. The compiled
// code reads its inputs without looking at their datatypes and shapes; it contains the checks, but
// runs them only where an environment variable asks for it. They are read from the source instead,
// which every package holds, and made here. No torch here.
namespace ptsecure::torch_plugin {

struct TensorRule {
  std::string name;                    // in the code
  std::optional<DType> dtype;          // nullopt = one that a value doesn't have
  std::vector<std::int64_t> shape;     // -1 = free
  std::vector<std::int64_t> least;     // of each free extent, at least 1
  std::vector<std::int64_t> greatest;  // of each extent; -1 = unbounded
  std::vector<std::int64_t> strides;   // -1 = follows from the free extents
  bool written = false;                // the code may change it
};

struct InputRules {
  std::vector<TensorRule> tensors;  // one an input, in order
  ShapeRelations relations;
};

// nullopt when the source doesn't have the checks of all `count` inputs. Throws
// Error(Status::unsupported) when how they belong together can't be told.
//
// A least extent of 2 is taken for none, and so is what an extent computed from others has then:
// torch writes it for every Dim that may be 0 or 1 too.
std::optional<InputRules> read_input_rules(std::string_view source, std::size_t count);

// A tensor that the code refers to by name: a parameter, a buffer, or a constant of the graph.
struct ConstantRule {
  std::string name;  // in the code
  std::string fqn;   // in the model: "layers.0.weight"
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::int64_t offset = 0;      // elements into its storage
  std::uint64_t data_size = 0;  // bytes of its storage, rounded up as they are kept
  bool folded = false;          // computed from others, never read
  bool parameter = false;
  // A buffer or a constant, which a file of weights may leave out. AOTInductor doesn't always say
  // what something is: then it may not.
  bool optional = false;
  bool plain = false;  // strided and of a datatype that a value has
  bool on_cpu = false;
  bool written = false;  // the code may change it: state
};

// In the order in which a blob of weights holds them. Throws Error(Status::invalid_model) when the
// source doesn't describe `count` constants.
std::vector<ConstantRule> read_constant_rules(std::string_view source, std::size_t count);

}  // namespace ptsecure::torch_plugin
