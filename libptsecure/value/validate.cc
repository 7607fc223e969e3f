#include "libptsecure/value/validate.hpp"

#include <algorithm>
#include <utility>

#include "libptsecure/base/text.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

bool shape_fits(const std::vector<std::int64_t>& expected, const Dims& shape) noexcept {
  return std::equal(
      expected.begin(), expected.end(), shape.begin(), shape.end(),
      [](std::int64_t want, std::int64_t have) { return want == -1 || want == have; });
}

bool fits(const ValueSpec& spec, const Value& value) noexcept {
  if (value.is(ValueKind::none)) {
    return spec.optional || !spec.kind || *spec.kind == ValueKind::none;
  }
  if (spec.kind && *spec.kind != value.kind()) return false;
  const Tensor* tensor = value.get_if<Tensor>();
  if (tensor == nullptr) return true;
  if (spec.dtype && *spec.dtype != tensor->dtype) return false;
  return !spec.shape || shape_fits(*spec.shape, tensor->shape);
}

std::string number_of(std::size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

[[noreturn]] void refuse_inputs(const std::vector<ValueSpec>& inputs, const std::string& found) {
  throw Error(Status::invalid_input, found + ", but the model takes " + describe(inputs));
}

// Values of a neighbouring kind that lose nothing by becoming what is expected.
bool convert(const ValueSpec& spec, Value& value) {
  constexpr std::int64_t kExactInt = std::int64_t{1} << 53;  // doubles hold all up to it
  if (!spec.kind) return false;
  if (const auto* number = value.get_if<std::int64_t>(); number && *spec.kind == ValueKind::real) {
    if (*number > kExactInt || *number < -kExactInt) return false;
    value = Value(static_cast<double>(*number));
    return true;
  }
  if (auto* list = value.get_if<List>(); list && *spec.kind == ValueKind::tuple) {
    value = Value(Tuple{std::move(list->items)});
    return true;
  }
  if (auto* tuple = value.get_if<Tuple>(); tuple && *spec.kind == ValueKind::list) {
    value = Value(List{std::move(tuple->items)});
    return true;
  }
  return false;
}

using Slots = std::vector<const Value*>;

Slots fill_slots(const std::vector<ValueSpec>& inputs, std::span<const Value> positional,
                 std::span<const NamedValue> named) {
  if (positional.size() > inputs.size()) {
    refuse_inputs(inputs, number_of(positional.size(), "input") +
                              (positional.size() == 1 ? " was given" : " were given"));
  }
  Slots slots(inputs.size());
  std::transform(positional.begin(), positional.end(), slots.begin(),
                 [](const Value& value) { return &value; });
  for (const auto& [name, value] : named) {
    const auto spec = std::find_if(inputs.begin(), inputs.end(),
                                   [&](const ValueSpec& input) { return input.name == name; });
    if (spec == inputs.end()) {
      refuse_inputs(inputs, "an input `" + printable_name(name) + "` was given");
    }
    const Value*& slot = slots[static_cast<std::size_t>(spec - inputs.begin())];
    if (slot != nullptr)
      refuse_inputs(inputs, "input `" + printable_name(name) + "` was given twice");
    slot = &value;
  }
  return slots;
}

}  // namespace

bool inputs_match(std::span<const ValueSpec> inputs, std::span<const Value> values) noexcept {
  if (values.size() > inputs.size()) return false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!fits(inputs[i], values[i])) return false;
  }
  return std::all_of(inputs.begin() + static_cast<std::ptrdiff_t>(values.size()), inputs.end(),
                     [](const ValueSpec& spec) { return spec.optional; });
}

std::vector<Value> bind_inputs(const std::vector<ValueSpec>& inputs,
                               std::span<const Value> positional,
                               std::span<const NamedValue> named) {
  if (named.empty() && inputs_match(inputs, positional)) {
    return {positional.begin(), positional.end()};
  }
  const Slots slots = fill_slots(inputs, positional, named);
  std::size_t count = slots.size();
  while (count > 0 && slots[count - 1] == nullptr && inputs[count - 1].optional) --count;

  std::vector<Value> bound;
  bound.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const ValueSpec& spec = inputs[i];
    if (slots[i] == nullptr && !spec.optional) {
      refuse_inputs(inputs, "input `" + printable_name(spec.name) + "` was not given");
    }
    Value value = slots[i] != nullptr ? *slots[i] : Value();
    if (!fits(spec, value) && !convert(spec, value)) {
      refuse_inputs(inputs,
                    "input `" + printable_name(spec.name) + "` was given as " + describe(value));
    }
    bound.push_back(std::move(value));
  }
  return bound;
}

std::string describe(const ValueSpec& spec) {
  std::string text = printable_name(spec.name) + ": ";
  if (spec.dtype) {
    text += v2_datatype(*spec.dtype);
  } else if (spec.kind) {
    text += kind_name(*spec.kind);
  } else {
    text += spec.shape ? "tensor" : "any";
  }
  if (spec.shape) text += shape_text(*spec.shape);
  return spec.optional ? text + " (optional)" : text;
}

std::string describe(const std::vector<ValueSpec>& specs) {
  if (specs.empty()) return "no inputs";
  return join(specs, ", ", [](const ValueSpec& spec) { return describe(spec); });
}

std::string describe(const Value& value) {
  if (const auto* tensor = value.get_if<Tensor>()) {
    return v2_datatype(tensor->dtype) + shape_text(tensor->shape);
  }
  if (const auto* dict = value.get_if<Dict>()) {
    return "dict of " + std::to_string(dict->items.size());
  }
  const bool sequence = value.is(ValueKind::list) || value.is(ValueKind::tuple);
  const std::string kind = kind_name(value.kind());
  return sequence ? kind + " of " + std::to_string(value.items().size()) : kind;
}

}  // namespace ptsecure
