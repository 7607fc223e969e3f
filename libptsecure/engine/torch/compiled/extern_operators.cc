#include "libptsecure/engine/torch/compiled/extern_operators.hpp"

#include <ATen/core/jit_type.h>
#include <torch/csrc/inductor/aoti_torch/generated_enum_converters.h>

#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/torch/files/invalid.hpp"

namespace ptsecure::torch_plugin {
namespace {

using nlohmann::json;

thread_local std::exception_ptr failure;

const json& member(const json& object, const char* name) {
  const auto found = object.find(name);
  if (!object.is_object() || found == object.end()) {
    invalid("the list of operators of the package has an entry without " + std::string(name));
  }
  return *found;
}

std::optional<c10::OperatorHandle> find_operator(const std::string& target) {
  const auto dot = target.find('.');
  const std::string overload = dot == std::string::npos ? "" : target.substr(dot + 1);
  return c10::Dispatcher::singleton().findSchema({target.substr(0, dot), overload});
}

[[noreturn]] void throw_unregistered(const std::string& target) {
  throw Error(Status::unsupported,
              "the model calls the operator " + target +
                  ", which nothing in this process has registered: load the library with its "
                  "TORCH_LIBRARY (in Python, import the module that defines it) before the model "
                  "is opened");
}

at::Tensor& tensor_of(AtenTensorHandle handle) {
  return *reinterpret_cast<at::Tensor*>(handle);
}

}  // namespace

// Reads one operator's arguments and results.
class ExternOperators::Reader {
 public:
  Reader(const json& node, std::string name, const c10::OperatorHandle& handle, at::Device device)
      : name_(std::move(name)),
        device_(device),
        op_{.handle = handle, .arguments = {}, .slots = {}, .results = {}} {
    const c10::FunctionSchema& schema = op_.handle.schema();
    for (const c10::Argument& argument : schema.arguments()) {
      op_.arguments.push_back(argument.default_value().value_or(c10::IValue()));
    }
    for (const json& input : member(node, "inputs")) {
      const auto position = schema.argumentIndexWithName(member(input, "name").get<std::string>());
      if (!position) unknown("an argument " + input["name"].get<std::string>());
      read_argument(static_cast<std::size_t>(*position), member(input, "arg"));
    }
    const json& outputs = member(node, "outputs");
    if (outputs.size() != schema.returns().size()) unknown("other results");
    for (std::size_t i = 0; i < outputs.size(); ++i) read_result(i, outputs[i]);
    for (const auto* slots : {&op_.slots, &op_.results}) {
      for (const Slot& slot : *slots) count(slot);
    }
  }
  Operator take() { return std::move(op_); }

 private:
  using Kind = Slot::Kind;

  [[noreturn]] void unknown(const std::string& what) const {
    throw Error(Status::unsupported, "the operator " + name_ + " was compiled with " + what +
                                         ", which the one registered in this process doesn't "
                                         "have or packages opened from memory don't know");
  }

  static std::pair<std::string, const json*> single(const json& entry) {
    if (!entry.is_object() || entry.size() != 1) {
      invalid("the list of operators of the package has an argument that isn't one");
    }
    return {entry.begin().key(), &entry.begin().value()};
  }

  void read_argument(std::size_t position, const json& entry) {
    const auto [tag, value] = single(entry);
    c10::TypePtr type = op_.handle.schema().arguments()[position].real_type();
    if (tag == "as_none") {
      op_.arguments[position] = c10::IValue();
      return;
    }
    if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
    if (const auto slot = slot_of(tag, *value, *type)) {
      op_.slots.push_back({*slot, position, present(*value)});
    } else if (auto fixed = fixed_of(tag, *value, *type)) {
      op_.arguments[position] = std::move(*fixed);
    } else if (tag == "as_custom_obj") {
      throw Error(Status::unsupported,
                  "the model hands a TorchBind object to the operator " + name_ +
                      ", which can't be loaded from memory; give the operator tensors and numbers");
    } else {
      unknown("an argument of the kind " + tag.substr(0, 40));
    }
  }

  // What comes with each call.
  std::optional<Kind> slot_of(const std::string& tag, const json& value,
                              const c10::Type& type) const {
    const auto kind = type.kind();
    const bool list = kind == c10::TypeKind::ListType;
    const bool any = kind == c10::TypeKind::AnyType;
    if (tag == "as_tensor" && (any || kind == c10::TypeKind::TensorType)) return Kind::tensor;
    if (tag == "as_optional_tensors" && list) return Kind::optional_tensors;
    if (tag == "as_tensors" && list) {
      return type.isSubtypeOf(*c10::ListType::ofOptionalTensors()) &&
                     !type.isSubtypeOf(*c10::ListType::ofTensors())
                 ? Kind::optional_tensors
                 : Kind::tensors;
    }
    const bool whole = kind == c10::TypeKind::IntType || kind == c10::TypeKind::SymIntType ||
                       kind == c10::TypeKind::NumberType || any;
    if ((tag == "as_int" || tag == "as_sym_int") && whole) return Kind::integer;
    if ((tag == "as_ints" || tag == "as_sym_ints") && list && value.is_array()) {
      return Kind::integers;
    }
    return std::nullopt;
  }

  // What was compiled in.
  std::optional<c10::IValue> fixed_of(const std::string& tag, const json& value,
                                      const c10::Type& type) const {
    using namespace torch::aot_inductor;
    const bool list = type.kind() == c10::TypeKind::ListType;
    if (tag == "as_float") return c10::IValue(value.get<double>());
    if (tag == "as_bool") return c10::IValue(value.get<bool>());
    if (tag == "as_string") return c10::IValue(value.get<std::string>());
    if (tag == "as_floats" && list) return c10::IValue(value.get<std::vector<double>>());
    if (tag == "as_bools" && list) return c10::IValue(value.get<std::vector<bool>>());
    if (tag == "as_strings" && list) return c10::IValue(value.get<std::vector<std::string>>());
    if (tag == "as_scalar_type") return c10::IValue(convertSerializedScalarType(value.get<int>()));
    if (tag == "as_memory_format") {
      return c10::IValue(convertSerializedMemoryFormat(value.get<int>()));
    }
    if (tag == "as_layout") return c10::IValue(convertSerializedLayout(value.get<int>()));
    if (tag == "as_device") return c10::IValue(device_);
    return std::nullopt;
  }

  // Which elements of a list are there; a single one is.
  static std::vector<bool> present(const json& value) {
    if (!value.is_array()) return {true};
    std::vector<bool> elements;
    for (const json& element : value) elements.push_back(!element.contains("as_none"));
    return elements;
  }

  void read_result(std::size_t position, const json& entry) {
    const auto [tag, value] = single(entry);
    if (tag == "as_none") return;
    if (tag == "as_optional_tensor") {
      if (value->contains("as_none")) return;
      op_.results.push_back({Kind::tensor, position, {true}});
    } else if (tag == "as_tensor" || tag == "as_int") {
      op_.results.push_back({tag == "as_int" ? Kind::integer : Kind::tensor, position, {true}});
    } else if (tag == "as_tensors" && value->is_array()) {
      op_.results.push_back({Kind::tensors, position, std::vector<bool>(value->size(), true)});
    } else {
      unknown("a result of the kind " + tag.substr(0, 40));
    }
  }

  void count(const Slot& slot) {
    std::size_t elements = 0;
    for (const bool there : slot.present) elements += there ? 1 : 0;
    const bool whole = slot.kind == Kind::integer || slot.kind == Kind::integers;
    (whole ? op_.ints : op_.tensors) += elements;
  }

  const std::string name_;
  const at::Device device_;
  Operator op_;
};

ExternOperators::ExternOperators(const std::string& nodes, at::Device device, bool inspect_only) {
  try {
    const json list = json::parse(nodes);
    for (const json& entry : member(list, "nodes")) {
      const json& node = member(entry, "node");
      const auto target = member(node, "target").get<std::string>();
      if (target == "call_torchbind") {
        throw Error(Status::unsupported,
                    "the model calls a method of a TorchBind object, which can't be loaded from "
                    "memory; register an operator on tensors and numbers instead");
      }
      const auto handle = find_operator(target);
      if (!handle && inspect_only) continue;
      if (!handle) throw_unregistered(target);
      operators_.push_back(Reader(node, target, *handle, device).take());
    }
  } catch (const json::exception&) {
    invalid("the list of operators of the package (.wrapper.json) is not what torch writes");
  }
}

void ExternOperators::call_function(int index, int int_count, std::int64_t* ints, int tensor_count,
                                    AtenTensorHandle* tensors) {
  try {
    if (index < 0 || static_cast<std::size_t>(index) >= operators_.size()) {
      invalid("the compiled code calls an operator that the package doesn't list");
    }
    const Operator& op = operators_[static_cast<std::size_t>(index)];
    if (op.ints != static_cast<std::size_t>(int_count) ||
        op.tensors != static_cast<std::size_t>(tensor_count)) {
      invalid("the compiled code calls an operator with other arguments than the package lists");
    }
    call(op, ints, tensors);
  } catch (...) {
    failure = std::current_exception();
    throw;
  }
}

void ExternOperators::call(const Operator& op, const std::int64_t* ints,
                           AtenTensorHandle* tensors) {
  torch::jit::Stack stack = op.arguments;
  for (const Slot& slot : op.slots) {
    c10::IValue& argument = stack[slot.position];
    switch (slot.kind) {
      case Slot::Kind::tensor:
        argument = tensor_of(*tensors++);
        break;
      case Slot::Kind::integer:
        argument = *ints++;
        break;
      case Slot::Kind::integers:
        argument = std::vector<std::int64_t>(ints, ints + slot.present.size());
        ints += slot.present.size();
        break;
      case Slot::Kind::tensors: {
        c10::List<at::Tensor> list;
        for (std::size_t i = 0; i < slot.present.size(); ++i) list.push_back(tensor_of(*tensors++));
        argument = std::move(list);
        break;
      }
      case Slot::Kind::optional_tensors: {
        c10::List<std::optional<at::Tensor>> list;
        for (const bool there : slot.present) {
          list.push_back(there ? std::optional(tensor_of(*tensors++)) : std::nullopt);
        }
        argument = std::move(list);
        break;
      }
    }
  }
  op.handle.callBoxed(stack);
  for (const Slot& slot : op.results) {
    const c10::IValue& result = stack.at(slot.position);
    if (slot.kind == Slot::Kind::integer) continue;  // its value was compiled in
    if (slot.kind == Slot::Kind::tensor) {
      tensor_of(*tensors++) = result.toTensor();
      continue;
    }
    const auto list = result.toTensorList();
    if (list.size() != slot.present.size()) {
      throw Error(Status::engine, "the operator " + op.handle.schema().name() + " gave " +
                                      std::to_string(list.size()) + " tensors, but " +
                                      std::to_string(slot.present.size()) + " were compiled for");
    }
    for (const at::Tensor& tensor : list) tensor_of(*tensors++) = tensor;
  }
}

void ExternOperators::rethrow_failure() {
  if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
}

void ExternOperators::forget_failure() {
  failure = nullptr;
}

}  // namespace ptsecure::torch_plugin
