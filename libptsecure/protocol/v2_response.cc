#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>
#include <utility>

#include "libptsecure/base/text.hpp"
#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/protocol/v2_text.hpp"
#include "libptsecure/value/half.hpp"
#include "libptsecure/value/raw_tensor.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

constexpr std::size_t kLongestNumber = 32;
constexpr std::int64_t kLargestExample = 1 << 24;  // elements

template <class T>
char* append_number(char* at, T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) {
      const std::string_view word = std::isnan(value) ? "\"NaN\""
                                    : value > 0       ? "\"Infinity\""
                                                      : "\"-Infinity\"";
      return std::copy(word.begin(), word.end(), at);
    }
    char* end = std::to_chars(at, at + kLongestNumber, value).ptr;
    const bool whole =
        std::all_of(at, end, [](char c) { return c == '-' || (c >= '0' && c <= '9'); });
    if (whole) end = std::copy_n(".0", 2, end);
    return end;
  } else {
    return std::to_chars(at, at + kLongestNumber, value).ptr;
  }
}

// Every element as `convert` gives it, with commas.
template <class T, class Convert>
void append_elements(std::string& out, ByteView bytes, Convert convert) {
  const auto* elements = reinterpret_cast<const T*>(bytes.data());
  const std::size_t count = bytes.size() / sizeof(T);
  constexpr std::size_t kBlock = 256;
  char buffer[kBlock * kLongestNumber];
  for (std::size_t first = 0; first < count; first += kBlock) {
    char* at = buffer;
    for (std::size_t i = first; i < std::min(first + kBlock, count); ++i) {
      if (i > 0) *at++ = ',';
      at = append_number(at, convert(elements[i]));
    }
    out.append(buffer, at);
  }
}

template <class T>
void append_elements(std::string& out, ByteView bytes) {
  append_elements<T>(out, bytes, [](T value) { return value; });
}

void append_booleans(std::string& out, ByteView bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out += ',';
    out += bytes[i] != 0 ? "true" : "false";
  }
}

}  // namespace

void append_text(std::string& out, std::string_view text) {
  try {
    out += nlohmann::json(text).dump();
  } catch (const nlohmann::json::type_error&) {
    throw Error(
        Status::unsupported,
        "a string in the response is not UTF-8, which JSON can't hold: ask for binary data");
  }
}

void append_tensor_data(std::string& out, const Tensor& tensor) {
  Tensor scratch;
  const ByteView bytes = contiguous_bytes(tensor, scratch);
  switch (tensor.dtype) {
    case DType::boolean:
      return append_booleans(out, bytes);
    case DType::uint8:
      return append_elements<std::uint8_t>(out, bytes);
    case DType::uint16:
      return append_elements<std::uint16_t>(out, bytes);
    case DType::uint32:
      return append_elements<std::uint32_t>(out, bytes);
    case DType::uint64:
      return append_elements<std::uint64_t>(out, bytes);
    case DType::int8:
      return append_elements<std::int8_t>(out, bytes);
    case DType::int16:
      return append_elements<std::int16_t>(out, bytes);
    case DType::int32:
      return append_elements<std::int32_t>(out, bytes);
    case DType::int64:
      return append_elements<std::int64_t>(out, bytes);
    case DType::float16:
    case DType::complex32:
      return append_elements<std::uint16_t>(out, bytes, half_to_float);
    case DType::bfloat16:
      return append_elements<std::uint16_t>(out, bytes, bfloat16_to_float);
    case DType::float32:
    case DType::complex64:
      return append_elements<float>(out, bytes);
    case DType::float64:
    case DType::complex128:
      return append_elements<double>(out, bytes);
  }
}

namespace {

void append_shape(std::string& out, std::span<const std::int64_t> shape) {
  out += '[';
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(shape[i]);
  }
  out += ']';
}

void append_head(std::string& out, std::string_view name, const char* datatype,
                 std::span<const std::int64_t> shape) {
  out += "{\"name\":";
  append_text(out, name);
  out += ",\"datatype\":\"";
  out += datatype;
  out += "\",\"shape\":";
  append_shape(out, shape);
}

const char* datatype_of(const Value& leaf) {
  switch (leaf.kind()) {
    case ValueKind::tensor:
      return v2_datatype(leaf.get<Tensor>().dtype);
    case ValueKind::boolean:
      return "BOOL";
    case ValueKind::integer:
      return "INT64";
    case ValueKind::real:
      return "FP64";
    default:
      return "BYTES";
  }
}

void append_scalar(std::string& out, const Value& leaf) {
  char buffer[kLongestNumber];
  if (const auto* flag = leaf.get_if<bool>()) out += *flag ? "true" : "false";
  if (const auto* integer = leaf.get_if<std::int64_t>()) {
    out.append(buffer, append_number(buffer, *integer));
  }
  if (const auto* real = leaf.get_if<double>()) out.append(buffer, append_number(buffer, *real));
  if (const auto* text = leaf.get_if<std::string>()) append_text(out, *text);
}

template <class T>
void append_object(Bytes& out, const T& value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

void append_binary(Bytes& out, const Value& leaf) {
  if (const auto* tensor = leaf.get_if<Tensor>()) append_raw(out, *tensor);
  if (const auto* flag = leaf.get_if<bool>()) append_object(out, *flag);
  if (const auto* integer = leaf.get_if<std::int64_t>()) append_object(out, *integer);
  if (const auto* real = leaf.get_if<double>()) append_object(out, *real);
  if (const auto* text = leaf.get_if<std::string>()) append_raw(out, std::span(text, 1));
}

void append_output(V2Response& out, const std::string& name, const Value& leaf, bool binary) {
  constexpr std::int64_t kOne[] = {1};
  const auto* tensor = leaf.get_if<Tensor>();
  append_head(out.json, name, datatype_of(leaf),
              tensor != nullptr ? std::span<const std::int64_t>(tensor->shape)
                                : std::span<const std::int64_t>(kOne));
  if (binary) {
    const std::size_t before = out.binary.size();
    append_binary(out.binary, leaf);
    out.json +=
        ",\"parameters\":{\"binary_data_size\":" + std::to_string(out.binary.size() - before) +
        "}}";
    return;
  }
  out.json += ",\"data\":[";
  if (tensor != nullptr)
    append_tensor_data(out.json, *tensor);
  else
    append_scalar(out.json, leaf);
  out.json += "]}";
}

void flatten(std::string name, const Value& value, std::vector<NamedValue>& leaves) {
  if (value.is(ValueKind::none)) return;
  if (const auto* dict = value.get_if<Dict>()) {
    for (const auto& [key, item] : dict->items) {
      flatten(std::string(name).append(1, '.').append(key), item, leaves);
    }
  } else if (value.is(ValueKind::list) || value.is(ValueKind::tuple)) {
    const std::span<const Value> items = value.items();
    for (std::size_t i = 0; i < items.size(); ++i) {
      flatten(name + "." + std::to_string(i), items[i], leaves);
    }
  } else {
    leaves.emplace_back(std::move(name), value);
  }
}

bool selects(const std::string& wanted, const std::string& name) {
  return name.starts_with(wanted) && (name.size() == wanted.size() || name[wanted.size()] == '.');
}

struct Chosen {
  const NamedValue* leaf;
  bool binary;
};

std::vector<Chosen> choose(const std::vector<NamedValue>& leaves,
                           const std::vector<V2Output>& selected, bool binary) {
  std::vector<Chosen> chosen;
  if (selected.empty()) {
    for (const NamedValue& leaf : leaves) chosen.push_back({&leaf, binary});
    return chosen;
  }
  std::set<const NamedValue*> taken;
  for (const V2Output& output : selected) {
    bool found = false;
    for (const NamedValue& leaf : leaves) {
      if (!selects(output.name, leaf.first)) continue;
      found = true;
      if (taken.insert(&leaf).second) chosen.push_back({&leaf, output.binary.value_or(binary)});
    }
    if (found) continue;
    std::string names;
    for (const NamedValue& leaf : leaves)
      names += (names.empty() ? "" : ", ") + printable_name(leaf.first);
    throw Error(Status::invalid_input, "the output `" + printable_name(output.name) +
                                           "` was asked for, but there are: " + names);
  }
  return chosen;
}

V2Response respond(std::string_view model_name, std::string_view model_version, std::string_view id,
                   const Value& result, const std::vector<ValueSpec>& outputs,
                   const std::vector<V2Output>& selected, bool binary, bool allow_binary) {
  const std::vector<NamedValue> leaves = v2_flatten(result, outputs);
  V2Response response;
  std::string& out = response.json;
  out += "{\"model_name\":";
  append_text(out, model_name);
  if (!model_version.empty()) {
    out += ",\"model_version\":";
    append_text(out, model_version);
  }
  if (!id.empty()) {
    out += ",\"id\":";
    append_text(out, id);
  }
  out += ",\"outputs\":[";
  bool first = true;
  for (const Chosen& output : choose(leaves, selected, binary)) {
    if (!first) out += ',';
    first = false;
    append_output(response, output.leaf->first, output.leaf->second, output.binary && allow_binary);
  }
  out += "]}";
  return response;
}

void append_repeated(std::string& out, std::string_view text, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (i > 0) out += ',';
    out += text;
  }
}

std::string_view zero_of(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return "false";
    case DType::float16:
    case DType::bfloat16:
    case DType::float32:
    case DType::float64:
      return "0.0";
    case DType::complex32:
    case DType::complex64:
    case DType::complex128:
      return "0.0,0.0";
    default:
      return "0";
  }
}

void append_example_tensor(std::string& out, const ValueSpec& spec) {
  const DType dtype = spec.dtype.value_or(DType::float32);
  std::vector<std::int64_t> shape = spec.shape.value_or(std::vector<std::int64_t>{1});
  std::replace(shape.begin(), shape.end(), std::int64_t{-1}, std::int64_t{1});
  Tensor probe;
  probe.dtype = dtype;
  probe.shape = Dims(std::span<const std::int64_t>(shape));
  const std::int64_t count = probe.numel();
  if (count > kLargestExample) {
    throw Error(Status::limit_exceeded,
                "input `" + printable_name(spec.name) + "` is too large for an example");
  }
  append_head(out, spec.name, v2_datatype(dtype), shape);
  out += ",\"data\":[";
  append_repeated(out, zero_of(dtype), count);
  out += "]}";
}

void append_example(std::string& out, const ValueSpec& spec) {
  constexpr std::int64_t kOne[] = {1};
  const auto scalar = [&](const char* datatype, const char* data) {
    append_head(out, spec.name, datatype, kOne);
    out += std::string(",\"data\":[") + data + "]}";
  };
  switch (spec.kind.value_or(ValueKind::tensor)) {
    case ValueKind::boolean:
      return scalar("BOOL", "false");
    case ValueKind::integer:
      return scalar("INT64", "0");
    case ValueKind::real:
      return scalar("FP64", "0.0");
    case ValueKind::string:
      return scalar("BYTES", "\"\"");
    case ValueKind::list:
    case ValueKind::tuple:
    case ValueKind::dict: {
      ValueSpec leaf;
      leaf.name = spec.name + (spec.kind == ValueKind::dict ? ".key" : ".0");
      return append_example_tensor(out, leaf);
    }
    default:
      return append_example_tensor(out, spec);
  }
}

void append_metadata(std::string& out, const std::vector<ValueSpec>& specs) {
  constexpr std::int64_t kOne[] = {1};
  out += '[';
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const ValueSpec& spec = specs[i];
    out += i > 0 ? ",{\"name\":" : "{\"name\":";
    append_text(out, spec.name);
    const char* datatype = spec.dtype ? v2_datatype(*spec.dtype) : nullptr;
    std::optional<std::span<const std::int64_t>> shape;
    if (spec.shape) shape = *spec.shape;
    switch (spec.kind.value_or(ValueKind::tensor)) {
      case ValueKind::boolean:
        datatype = "BOOL";
        break;
      case ValueKind::integer:
        datatype = "INT64";
        break;
      case ValueKind::real:
        datatype = "FP64";
        break;
      case ValueKind::string:
        datatype = "BYTES";
        break;
      default:
        break;
    }
    const bool scalar =
        spec.kind && *spec.kind >= ValueKind::boolean && *spec.kind <= ValueKind::string;
    if (scalar) shape = kOne;
    if (datatype != nullptr) out += std::string(",\"datatype\":\"") + datatype + '"';
    if (shape) {
      out += ",\"shape\":";
      append_shape(out, *shape);
    }
    if (spec.kind && *spec.kind != ValueKind::tensor) {
      out += std::string(",\"kind\":\"") + kind_name(*spec.kind) + '"';
    }
    if (spec.optional) out += ",\"optional\":true";
    out += '}';
  }
  out += ']';
}

}  // namespace

std::vector<NamedValue> v2_flatten(const Value& result, const std::vector<ValueSpec>& outputs) {
  std::vector<NamedValue> leaves;
  if (const auto* dict = result.get_if<Dict>()) {
    for (const auto& [key, item] : dict->items) flatten(key, item, leaves);
  } else if (result.is(ValueKind::list) || result.is(ValueKind::tuple)) {
    const std::span<const Value> items = result.items();
    const bool whole = outputs.size() == 1 && outputs[0].kind == result.kind();
    const bool named = outputs.size() == items.size() && !whole;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const bool own = named && !outputs[i].name.empty();
      flatten(own ? outputs[i].name : "output_" + std::to_string(i), items[i], leaves);
    }
  } else {
    const bool own = outputs.size() == 1 && !outputs[0].name.empty();
    flatten(own ? outputs[0].name : "output", result, leaves);
  }
  std::set<std::string_view> names;
  for (const NamedValue& leaf : leaves) {
    if (!names.insert(leaf.first).second) {
      throw Error(Status::unsupported, "two outputs of the model would both be named `" +
                                           printable_name(leaf.first) + "`");
    }
  }
  return leaves;
}

V2Response v2_response(std::string_view model_name, std::string_view model_version,
                       std::string_view id, const Value& result,
                       const std::vector<ValueSpec>& outputs, const std::vector<V2Output>& selected,
                       bool binary_output) {
  return respond(model_name, model_version, id, result, outputs, selected, binary_output, true);
}

std::string v2_response_json(std::string_view model_name, std::string_view model_version,
                             std::string_view id, const Value& result,
                             const std::vector<ValueSpec>& outputs,
                             const std::vector<V2Output>& selected) {
  return respond(model_name, model_version, id, result, outputs, selected, false, false).json;
}

std::string v2_example_request(const std::vector<ValueSpec>& inputs) {
  std::string out = "{\"inputs\":[";
  bool first = true;
  for (const ValueSpec& spec : inputs) {
    if (spec.optional || spec.kind == ValueKind::none) continue;
    if (!first) out += ',';
    first = false;
    append_example(out, spec);
  }
  return out + "]}";
}

std::string v2_metadata_json(std::string_view name, const std::vector<std::string>& versions,
                             std::string_view platform, const std::vector<ValueSpec>& inputs,
                             const std::vector<ValueSpec>& outputs) {
  std::string out = "{\"name\":";
  append_text(out, name);
  out += ",\"versions\":[";
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (i > 0) out += ',';
    append_text(out, versions[i]);
  }
  out += "],\"platform\":";
  append_text(out, platform);
  out += ",\"inputs\":";
  append_metadata(out, inputs);
  out += ",\"outputs\":";
  append_metadata(out, outputs);
  return out + "}";
}

}  // namespace ptsecure
