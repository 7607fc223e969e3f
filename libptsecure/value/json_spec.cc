#include "libptsecure/value/json_spec.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "libptsecure/base/text.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

[[noreturn]] void refuse_spec(const std::string& what) {
  throw Error(Status::corrupt, "the description of an input or output is damaged: " + what);
}

const json* member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() ? &*found : nullptr;
}

const std::string& text_of(const json& value, const char* name) {
  if (!value.is_string()) refuse_spec(std::string("`") + name + "` must be a string");
  return value.get_ref<const std::string&>();
}

ValueKind kind_from_name(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(ValueKind::dict); ++i) {
    if (name == kind_name(static_cast<ValueKind>(i))) return static_cast<ValueKind>(i);
  }
  refuse_spec("`" + printable_name(name) + "` is no kind of value");
}

DType dtype_of(const std::string& datatype) {
  const std::optional<DType> dtype = dtype_from_v2(datatype);
  if (!dtype) refuse_spec("`" + printable_name(datatype) + "` is no datatype");
  return *dtype;
}

std::vector<std::int64_t> shape_of(const json& value) {
  if (!value.is_array()) refuse_spec("`shape` must be an array");
  if (value.size() > Dims::kMaxRank) refuse_spec("`shape` must have at most 16 extents");
  std::vector<std::int64_t> shape;
  for (const json& extent : value) {
    const bool fits = extent.is_number_integer() &&
                      !(extent.is_number_unsigned() &&
                        extent.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX));
    if (!fits || extent.get<std::int64_t>() < -1) {
      refuse_spec("extents in `shape` must be -1 or whole numbers from 0");
    }
    shape.push_back(extent.get<std::int64_t>());
  }
  return shape;
}

}  // namespace

json spec_to_json(const ValueSpec& spec) {
  json object = {{"name", spec.name}};
  if (spec.kind) object["kind"] = kind_name(*spec.kind);
  if (spec.dtype) object["datatype"] = v2_datatype(*spec.dtype);
  if (spec.shape) object["shape"] = *spec.shape;
  if (spec.optional) object["optional"] = true;
  return object;
}

json specs_to_json(const std::vector<ValueSpec>& specs) {
  json array = json::array();
  for (const ValueSpec& spec : specs) array.push_back(spec_to_json(spec));
  return array;
}

ValueSpec spec_from_json(const json& object) {
  if (!object.is_object()) refuse_spec("it must be an object");
  ValueSpec spec;
  const json* name = member(object, "name");
  if (name == nullptr) refuse_spec("`name` is missing");
  spec.name = text_of(*name, "name");
  if (const json* kind = member(object, "kind")) {
    spec.kind = kind_from_name(text_of(*kind, "kind"));
  }
  if (const json* datatype = member(object, "datatype")) {
    spec.dtype = dtype_of(text_of(*datatype, "datatype"));
  }
  if (const json* shape = member(object, "shape")) spec.shape = shape_of(*shape);
  if ((spec.dtype || spec.shape) && spec.kind && *spec.kind != ValueKind::tensor) {
    refuse_spec("only tensors have `datatype` and `shape`");
  }
  if (const json* optional = member(object, "optional")) {
    if (!optional->is_boolean()) refuse_spec("`optional` must be true or false");
    spec.optional = optional->get<bool>();
  }
  return spec;
}

std::vector<ValueSpec> specs_from_json(const json& array) {
  if (!array.is_array()) refuse_spec("inputs and outputs must be an array");
  std::vector<ValueSpec> specs;
  specs.reserve(array.size());
  for (const json& object : array) specs.push_back(spec_from_json(object));
  return specs;
}

}  // namespace ptsecure
