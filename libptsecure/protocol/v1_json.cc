#include "libptsecure/protocol/v1_json.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "libptsecure/base/text.hpp"
#include "libptsecure/protocol/v2_text.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

// The values of one input: one per row, or the only one.
struct Column {
  std::vector<std::string_view> texts;
};

// Finds the pieces of text that are values of inputs, and checks that all of it is JSON.
class Splitter {
 public:
  Splitter(Cursor& cursor, const V2Limits& limits) : cursor_(cursor), limits_(limits) {}

  bool rows = false;                      // `instances`
  std::optional<std::string_view> whole;  // of the only input
  std::vector<std::pair<std::string, Column>> columns;

  bool start_object(std::size_t) {
    if (levels_.size() == 1 && member_ == "instances" && found_) refuse_instances();
    if (at_row()) {
      if (bare_row_) refuse_mixed();
      object_row_ = true;
    }
    return enter(true);
  }
  bool start_array(std::size_t) {
    if (levels_.empty()) refuse("the request must be a JSON object");
    if (at_row()) bare_row();
    return enter(false);
  }
  bool end_object() { return leave(); }
  bool end_array() { return leave(); }
  bool key(std::string& name) {
    Level& level = levels_.back();
    if (level.members.size() >= limits_.max_members) {
      throw Error(Status::limit_exceeded, "the request has more than " +
                                              std::to_string(limits_.max_members) +
                                              " members in one object");
    }
    if (!level.members.insert(name).second) {
      refuse("the request has the member `" + printable_name(name) + "` twice in one object");
    }
    if (levels_.size() == 1) {
      member_ = name;
      if (name == "instances" || name == "inputs") {
        if (found_) refuse("the request takes `instances` or `inputs`, once");
        found_ = true;
        rows = name == "instances";
        begin_ = value_begin();
      }
    } else if (names_inputs()) {
      input_ = name;
      begin_input_ = value_begin();
    }
    return true;
  }
  bool null() { return scalar(cursor_.at); }
  bool boolean(bool) { return scalar(cursor_.at); }
  bool string(const std::string&) { return scalar(cursor_.at); }
  // The parser has taken the character behind a number, too.
  bool number_integer(std::int64_t) { return scalar(cursor_.at - 1); }
  bool number_unsigned(std::uint64_t) { return scalar(cursor_.at - 1); }
  bool number_float(double, const std::string&) { return scalar(cursor_.at - 1); }
  bool binary(const json::binary_t&) { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) {
    refuse("the request is not valid JSON at byte " + std::to_string(cursor_.at - cursor_.begin));
  }
  bool complete() const { return found_; }

 private:
  struct Level {
    bool object;
    std::set<std::string> members;
  };

  bool wanted() const { return member_ == "instances" || member_ == "inputs"; }
  bool at_row() const { return rows && wanted() && levels_.size() == 2; }
  // Whether the members of the innermost object are inputs.
  bool names_inputs() const {
    if (!wanted() || !levels_.back().object) return false;
    return rows ? levels_.size() == 3 : levels_.size() == 2;
  }

  [[noreturn]] static void refuse_instances() {
    refuse("`instances` must be an array with one element per row");
  }
  [[noreturn]] static void refuse_mixed() { refuse("`instances` must hold objects only, or none"); }

  void bare_row() {
    if (object_row_) refuse_mixed();
    bare_row_ = true;
  }

  bool enter(bool object) {
    if (levels_.size() >= limits_.max_depth) {
      throw Error(Status::limit_exceeded, "the request nests arrays and objects deeper than " +
                                              std::to_string(limits_.max_depth));
    }
    levels_.push_back({object, {}});
    return true;
  }

  bool leave() {
    const bool object = levels_.back().object;
    levels_.pop_back();
    ended(cursor_.at, object);
    return true;
  }

  bool scalar(const char* end) {
    if (levels_.empty()) refuse("the request must be a JSON object");
    if (at_row()) bare_row();
    if (rows && levels_.size() == 1 && wanted()) refuse_instances();
    ended(end, false);
    return true;
  }

  // A value ended at `end`, on the level that it stands on.
  void ended(const char* end, bool object) {
    if (levels_.empty()) return;
    if (names_inputs()) {
      column(input_).texts.emplace_back(begin_input_, static_cast<std::size_t>(end - begin_input_));
    } else if (levels_.size() == 1 && wanted()) {
      const bool named = rows ? object_row_ : object;
      if (!named) whole = std::string_view(begin_, static_cast<std::size_t>(end - begin_));
      member_.clear();
    }
  }

  Column& column(const std::string& name) {
    const auto found = std::find_if(columns.begin(), columns.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    if (found != columns.end()) return found->second;
    return columns.emplace_back(name, Column()).second;
  }

  // Where the value of the member begins whose name was just read.
  const char* value_begin() const {
    constexpr std::string_view kBetween = " \t\r\n:";
    const char* at = cursor_.at;
    while (at != cursor_.end && kBetween.find(*at) != std::string_view::npos) ++at;
    return at;
  }

  Cursor& cursor_;
  const V2Limits& limits_;
  std::vector<Level> levels_;
  std::string member_;
  std::string input_;
  const char* begin_ = nullptr;
  const char* begin_input_ = nullptr;
  bool found_ = false;
  bool object_row_ = false;
  bool bare_row_ = false;
};

// The extents of nested arrays, read off the first array at each depth.
class Shape {
 public:
  std::vector<std::int64_t> extents;

  bool start_array(std::size_t) {
    count();
    if (depth_ == extents.size() && !bottom_) extents.push_back(0);
    ++depth_;
    return true;
  }
  bool end_array() {
    bottom_ = true;
    counted_ = std::min(counted_, --depth_);
    return true;
  }
  bool null() { return scalar(); }
  bool boolean(bool) { return scalar(); }
  bool string(const std::string&) { return scalar(); }
  bool number_integer(std::int64_t) { return scalar(); }
  bool number_unsigned(std::uint64_t) { return scalar(); }
  bool number_float(double, const std::string&) { return scalar(); }
  bool start_object(std::size_t) { refuse("objects are not taken in the data of an input"); }
  bool key(const std::string&) { return false; }
  bool end_object() { return false; }
  bool binary(const json::binary_t&) { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) {
    return false;
  }

 private:
  bool scalar() {
    count();
    bottom_ = true;
    return true;
  }
  // An element of the array around it, if that is the first one at its depth.
  void count() {
    if (depth_ > 0 && depth_ - 1 < counted_ && depth_ <= extents.size()) ++extents[depth_ - 1];
  }

  std::size_t depth_ = 0;
  std::size_t counted_ = std::numeric_limits<std::size_t>::max();  // depths from here on are known
  bool bottom_ = false;  // the first branch went no deeper
};

std::vector<std::int64_t> shape_of(std::string_view text) {
  Cursor cursor{text.data(), text.data(), text.data() + text.size()};
  Shape shape;
  parse_json(cursor, shape, true);
  return shape.extents;
}

std::string v2_datatype(const ValueSpec& spec) {
  switch (spec.kind.value_or(ValueKind::tensor)) {
    case ValueKind::boolean:
      return "BOOL";
    case ValueKind::integer:
      return "INT64";
    case ValueKind::real:
      return "FP64";
    case ValueKind::string:
      return "BYTES";
    case ValueKind::tensor:
      if (spec.dtype) return v2_datatype(*spec.dtype);
      break;
    default:
      break;
  }
  refuse("the model's signature doesn't say of which datatype the input `" +
         printable_name(spec.name) + "` is: publish the model with a sample, or send a V2 request");
}

const ValueSpec& spec_of(const std::vector<ValueSpec>& inputs, const std::string& name) {
  for (const ValueSpec& spec : inputs) {
    if (spec.name == name) return spec;
  }
  refuse("there is no input `" + printable_name(name) + "`; the model takes " + describe(inputs));
}

void append_input(std::string& out, const ValueSpec& spec, std::span<const std::int64_t> shape,
                  std::string_view data) {
  out += out.empty() ? "{\"inputs\":[{\"name\":" : ",{\"name\":";
  append_text(out, spec.name);
  out += ",\"datatype\":\"" + v2_datatype(spec) + "\",\"shape\":[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    out += (i > 0 ? "," : "") + std::to_string(shape[i]);
  }
  out.append("],\"data\":").append(data).append("}");
}

// A value that is no array is one of rank 0, or in a model's place for one number of rank 1.
void append_value(std::string& out, const ValueSpec& spec, std::string_view text) {
  if (text.starts_with('[')) {
    append_input(out, spec, shape_of(text), text);
  } else {
    const bool tensor = spec.kind.value_or(ValueKind::tensor) == ValueKind::tensor;
    const std::vector<std::int64_t> shape(tensor ? 0 : 1, 1);
    append_input(out, spec, shape, "[" + std::string(text) + "]");
  }
}

void append_rows(std::string& out, const ValueSpec& spec, const Column& column, std::size_t rows) {
  if (column.texts.size() != rows) {
    refuse("the input `" + printable_name(spec.name) + "` is not in every element of `instances`");
  }
  std::vector<std::int64_t> shape = {static_cast<std::int64_t>(rows)};
  const std::vector<std::int64_t> row = shape_of(column.texts.front());
  shape.insert(shape.end(), row.begin(), row.end());
  std::string data = "[";
  for (const std::string_view text : column.texts) {
    if (data.size() > 1) data += ',';
    data += text;
  }
  append_input(out, spec, shape, data + "]");
}

std::vector<NamedValue> leaves_of(const Value& result, const std::vector<ValueSpec>& outputs) {
  std::vector<NamedValue> leaves = v2_flatten(result, outputs);
  for (const auto& [name, leaf] : leaves) {
    const auto* tensor = leaf.get_if<Tensor>();
    if (tensor == nullptr) continue;
    if (tensor->dtype >= DType::complex32) {
      throw Error(Status::unsupported, "V1 has no complex numbers: send a V2 request");
    }
  }
  return leaves;
}

void append_nested(std::string& out, const Tensor& tensor) {
  if (tensor.shape.empty()) return append_tensor_data(out, tensor);
  out += '[';
  if (tensor.shape.size() == 1) {
    append_tensor_data(out, tensor);
  } else {
    Tensor row = tensor;
    const std::span<const std::int64_t> shape = tensor.shape;
    const std::span<const std::int64_t> strides = tensor.strides;
    row.shape = Dims(shape.subspan(1));
    row.strides = Dims(strides.subspan(1));
    const std::int64_t step = strides[0] * static_cast<std::int64_t>(dtype_size(tensor.dtype));
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      if (i > 0) out += ',';
      row.data = static_cast<std::uint8_t*>(tensor.data) + i * step;
      append_nested(out, row);
    }
  }
  out += ']';
}

void append_leaf(std::string& out, const Value& leaf) {
  if (const auto* tensor = leaf.get_if<Tensor>()) return append_nested(out, *tensor);
  if (const auto* text = leaf.get_if<std::string>()) return append_text(out, *text);
  if (const auto* flag = leaf.get_if<bool>()) out += *flag ? "true" : "false";
  if (const auto* integer = leaf.get_if<std::int64_t>()) out += std::to_string(*integer);
  if (const auto* real = leaf.get_if<double>()) {
    Tensor scalar = make_tensor(DType::float64, Dims{});
    *static_cast<double*>(scalar.data) = *real;
    append_tensor_data(out, scalar);
  }
}

void append_leaves(std::string& out, const std::vector<NamedValue>& leaves) {
  if (leaves.size() == 1) return append_leaf(out, leaves[0].second);
  out += '{';
  for (const auto& [name, leaf] : leaves) {
    if (&name != &leaves.front().first) out += ',';
    append_text(out, name);
    out += ':';
    append_leaf(out, leaf);
  }
  out += '}';
}

// The number of rows that all outputs have.
std::optional<std::int64_t> rows_of(const std::vector<NamedValue>& leaves) {
  std::optional<std::int64_t> rows;
  for (const auto& [name, leaf] : leaves) {
    const auto* tensor = leaf.get_if<Tensor>();
    if (tensor == nullptr || tensor->shape.empty()) return std::nullopt;
    if (rows && *rows != tensor->shape[0]) return std::nullopt;
    rows = tensor->shape[0];
  }
  return rows;
}

std::vector<NamedValue> row_of(const std::vector<NamedValue>& leaves, std::int64_t index) {
  std::vector<NamedValue> row;
  for (const auto& [name, leaf] : leaves) {
    Tensor part = leaf.get<Tensor>();
    const std::int64_t step = part.strides[0] * static_cast<std::int64_t>(dtype_size(part.dtype));
    part.data = static_cast<std::uint8_t*>(part.data) + index * step;
    part.shape = Dims(std::span<const std::int64_t>(part.shape).subspan(1));
    part.strides = Dims(std::span<const std::int64_t>(part.strides).subspan(1));
    row.emplace_back(name, Value(std::move(part)));
  }
  return row;
}

}  // namespace

V1Request parse_v1_request(std::string_view text, const std::vector<ValueSpec>& inputs,
                           const V2Limits& limits) {
  // The parser takes a NUL for the end of its input.
  if (text.find('\0') != std::string_view::npos) {
    refuse("the request is not valid JSON: it holds a NUL byte");
  }
  Cursor cursor{text.data(), text.data(), text.data() + text.size()};
  Splitter parts(cursor, limits);
  parse_json(cursor, parts, true);
  if (!parts.complete()) refuse("the request lacks `instances` or `inputs`");
  std::string request;
  if (parts.whole) {
    if (inputs.size() != 1) {
      refuse("the model takes " + describe(inputs) + ": name them in an object");
    }
    append_value(request, inputs[0], *parts.whole);
  }
  std::size_t rows = 0;
  for (const auto& [name, column] : parts.columns) rows = std::max(rows, column.texts.size());
  for (const auto& [name, column] : parts.columns) {
    const ValueSpec& spec = spec_of(inputs, name);
    if (parts.rows)
      append_rows(request, spec, column, rows);
    else
      append_value(request, spec, column.texts.front());
  }
  request += request.empty() ? "{\"inputs\":[]}" : "]}";
  return {parse_v2_request(request, inputs, limits).inputs, parts.rows};
}

std::string v1_response(const Value& result, const std::vector<ValueSpec>& outputs, bool rows) {
  const std::vector<NamedValue> leaves = leaves_of(result, outputs);
  std::string out = "{\"predictions\":";
  const auto count = rows && leaves.size() > 1 ? rows_of(leaves) : std::nullopt;
  if (count) {
    out += '[';
    for (std::int64_t i = 0; i < *count; ++i) {
      if (i > 0) out += ',';
      append_leaves(out, row_of(leaves, i));
    }
    out += ']';
  } else {
    append_leaves(out, leaves);
  }
  return out + "}";
}

}  // namespace ptsecure
