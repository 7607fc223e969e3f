#include "libptsecure/protocol/v1_json.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

#include "libptsecure/protocol/json_cursor.hpp"
#include "libptsecure/protocol/json_path.hpp"
#include "libptsecure/protocol/v2_data.hpp"
#include "libptsecure/protocol/v2_text.hpp"
#include "libptsecure/protocol/v2_tree.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

// The extents of nested arrays, read off the first array at each depth.
class Outline final : public JsonHandler {
 public:
  Outline(JsonCursor& cursor, const std::string& label) : JsonHandler(cursor), label_(label) {}

  std::vector<std::int64_t> extents;
  bool is_array = false;

  bool start_array(std::size_t) override {
    is_array = true;
    count();
    if (depth_ == extents.size() && !bottom_) {
      if (depth_ == Dims::kMaxRank) {
        throw Error(Status::limit_exceeded,
                    "input `" + label_ + "` is nested deeper than the 16 extents of a shape");
      }
      extents.push_back(0);
    }
    ++depth_;
    cursor_.take_numbers([this](const char*, const char*) { return scalar(); });
    return true;
  }
  bool end_array() override {
    bottom_ = true;
    counted_ = std::min(counted_, --depth_);
    return true;
  }
  bool null() override { return scalar(); }
  bool boolean(bool) override { return scalar(); }
  bool string(std::string&) override { return scalar(); }
  bool number_integer(std::int64_t) override { return scalar(); }
  bool number_unsigned(std::uint64_t) override { return scalar(); }
  bool number_float(double, const std::string&) override { return scalar(); }
  bool start_object(std::size_t) override {
    refuse_request("input `" + label_ + "` has an object in its data: objects are not taken there");
  }
  bool key(std::string&) override { return false; }
  bool end_object() override { return false; }

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

  const std::string& label_;
  std::size_t depth_ = 0;
  std::size_t counted_ = std::numeric_limits<std::size_t>::max();  // depths from here on are known
  bool bottom_ = false;  // the first branch went no deeper
};

std::optional<DType> dtype_of(const ValueSpec& spec) {
  switch (spec.kind.value_or(ValueKind::tensor)) {
    case ValueKind::boolean:
      return DType::boolean;
    case ValueKind::integer:
      return DType::int64;
    case ValueKind::real:
      return DType::float64;
    case ValueKind::string:
      return std::nullopt;
    case ValueKind::tensor:
      if (spec.dtype) return spec.dtype;
      break;
    default:
      break;
  }
  refuse_request("the model's signature doesn't say of which datatype the input `" +
                 printable_name(spec.name) +
                 "` is: publish the model with a sample, or send a V2 request");
}

// An input of the request.
struct Column {
  Column(const ValueSpec& input, JsonCursor& cursor)
      : spec(input), head{printable_name(input.name), {}, {}}, outline(cursor, head.label) {}

  const ValueSpec& spec;
  V2InputHead head;
  std::size_t values = 0;  // that the request has of it: one per row, or one in all
  Outline outline;         // of the first
  bool enclosed = false;   // values are elements of an array that isn't in the text
  std::optional<V2DataSink> sink;
};

// The inputs of a request, in its order.
class Columns {
 public:
  Columns(const std::vector<ValueSpec>& inputs, JsonCursor& cursor)
      : inputs_(inputs), cursor_(cursor) {
    for (const ValueSpec& input : inputs) by_name_.emplace(input.name, Known{&input, nullptr});
  }

  Column& named(const std::string& name) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      refuse_request("there is no input `" + printable_name(name) + "`; the model takes " +
                     describe(inputs_));
    }
    auto& [spec, column] = found->second;
    if (column == nullptr) {
      column = order_.emplace_back(std::make_unique<Column>(*spec, cursor_)).get();
    }
    return *column;
  }
  Column& only() {
    if (inputs_.size() != 1) {
      refuse_request("the model takes " + describe(inputs_) + ": name them in an object");
    }
    return named(inputs_.front().name);
  }

  // Between the measuring and the filling.
  void make_room(std::optional<std::size_t> rows, std::size_t text_size, const V2Limits& limits);
  // After the filling.
  std::vector<std::pair<std::string, V2Elements>> finish();

 private:
  struct Known {
    const ValueSpec* spec;
    Column* column;  // once the request has it
  };

  const std::vector<ValueSpec>& inputs_;
  JsonCursor& cursor_;
  std::unordered_map<std::string_view, Known> by_name_;
  std::vector<std::unique_ptr<Column>> order_;
};

void Columns::make_room(std::optional<std::size_t> rows, std::size_t text_size,
                        const V2Limits& limits) {
  V2Budget budget(limits);
  for (const auto& column : order_) {
    const ValueSpec& spec = column->spec;
    if (rows && column->values != *rows) {
      refuse_request("the input `" + column->head.label +
                     "` is not in every element of `instances`");
    }
    std::vector<std::int64_t> shape = column->outline.extents;
    column->enclosed = rows || !column->outline.is_array;
    // A value that is no array is one of rank 0, or in a model's place for one number of rank 1.
    const bool tensor = spec.kind.value_or(ValueKind::tensor) == ValueKind::tensor;
    if (rows)
      shape.insert(shape.begin(), static_cast<std::int64_t>(*rows));
    else if (column->enclosed && !tensor)
      shape.push_back(1);
    column->head.dtype = dtype_of(spec);
    column->head.shape = Dims(std::span<const std::int64_t>(shape));
    budget.take(column->head);
    column->sink.emplace(cursor_, column->head, text_size);
    if (column->enclosed) column->sink->open_array();
  }
}

std::vector<std::pair<std::string, V2Elements>> Columns::finish() {
  std::vector<std::pair<std::string, V2Elements>> elements;
  for (const auto& column : order_) {
    if (column->enclosed) column->sink->close_array();
    elements.emplace_back(column->spec.name, column->sink->finish());
  }
  return elements;
}

enum class V1Place {
  document,
  request,
  rows,       // `instances`, with an object in it per row
  row,        // such an object
  bare_rows,  // `instances`, the value of the only input
  inputs,     // an object of inputs
  value,      // an array in the value of an input
  ignored,
};

enum class Pass { measure, fill };

// Walks through a request: once to check that all of it is JSON and to learn how large its inputs
// are, and once to fill them.
class V1Reader final : public JsonHandler {
 public:
  V1Reader(JsonCursor& cursor, const V2Limits& limits, Columns& columns, Pass pass)
      : JsonHandler(cursor), path_(limits, V1Place::document), columns_(columns), pass_(pass) {}

  bool found = false;               // one of the two members
  bool instances = false;           // which
  std::optional<std::size_t> rows;  // of `instances` with objects

  bool start_object(std::size_t) override;
  bool start_array(std::size_t size) override;
  bool end_object() override {
    if (path_.leave() == V1Place::request) cursor_.document_ended();
    return true;
  }
  bool end_array() override {
    const V1Place left = path_.leave();
    if (left == V1Place::value || left == V1Place::bare_rows) value_->end_array();
    return true;
  }
  bool key(std::string& name) override;
  bool null() override {
    return scalar([](JsonHandler& value) { value.null(); });
  }
  bool boolean(bool given) override {
    return scalar([&](JsonHandler& value) { value.boolean(given); });
  }
  bool number_integer(std::int64_t given) override {
    return scalar([&](JsonHandler& value) { value.number_integer(given); });
  }
  bool number_unsigned(std::uint64_t given) override {
    return scalar([&](JsonHandler& value) { value.number_unsigned(given); });
  }
  bool number_float(double given, const std::string& token) override {
    return scalar([&](JsonHandler& value) { value.number_float(given, token); });
  }
  bool string(std::string& given) override {
    return scalar([&](JsonHandler& value) { value.string(given); });
  }

 private:
  bool at_member(const char* name) const {
    return path_.place() == V1Place::request && path_.member() == name;
  }
  JsonHandler* begin_value();
  JsonHandler* begin_value_of(Column& column);
  template <class Give>
  bool scalar(const Give& give);

  JsonPath<V1Place> path_;
  Columns& columns_;
  Pass pass_;
  Column* column_ = nullptr;      // of the latest name of an input
  JsonHandler* value_ = nullptr;  // takes the value that is read; nullptr = nobody
};

[[noreturn]] void refuse_instances() {
  refuse_request("`instances` must be an array with one element per row");
}

[[noreturn]] void refuse_mixed() {
  refuse_request("`instances` must hold objects only, or none");
}

// Who takes the value that begins now; nullptr = nobody.
JsonHandler* V1Reader::begin_value() {
  switch (path_.place()) {
    case V1Place::document:
      refuse_request("the request must be a JSON object");
    case V1Place::request:
      return at_member("inputs") ? begin_value_of(columns_.only()) : nullptr;
    case V1Place::row:
    case V1Place::inputs:
      return begin_value_of(*column_);
    case V1Place::rows:
      refuse_mixed();
    case V1Place::bare_rows:
    case V1Place::value:
      return value_;
    case V1Place::ignored:
      break;
  }
  return nullptr;
}

JsonHandler* V1Reader::begin_value_of(Column& column) {
  if (pass_ == Pass::fill) return value_ = &*column.sink;
  return value_ = ++column.values == 1 ? &column.outline : nullptr;
}

bool V1Reader::start_object(std::size_t size) {
  V1Place next = V1Place::ignored;
  if (path_.place() == V1Place::document) {
    next = V1Place::request;
  } else if (path_.place() == V1Place::rows) {
    ++*rows;
    next = V1Place::row;
  } else if (path_.place() == V1Place::bare_rows) {
    refuse_mixed();
  } else if (at_member("instances")) {
    refuse_instances();
  } else if (at_member("inputs")) {
    next = V1Place::inputs;
  } else if (JsonHandler* value = begin_value()) {
    value->start_object(size);  // refuses it
  }
  path_.enter(next);
  return true;
}

bool V1Reader::start_array(std::size_t size) {
  if (at_member("instances") && cursor_.peek() == '{') {
    rows = 0;
    path_.enter(V1Place::rows);
    return true;
  }
  const bool bare = at_member("instances");
  JsonHandler* value = bare ? begin_value_of(columns_.only()) : begin_value();
  path_.enter(bare ? V1Place::bare_rows : value != nullptr ? V1Place::value : V1Place::ignored);
  if (value != nullptr)
    value->start_array(size);
  else
    cursor_.take_numbers([](const char*, const char*) { return true; });
  return true;
}

bool V1Reader::key(std::string& name) {
  if (path_.place() == V1Place::row || path_.place() == V1Place::inputs) {
    column_ = &columns_.named(name);
    const std::size_t before = rows ? *rows - 1 : 0;
    if (pass_ == Pass::measure && column_->values > before) path_.refuse_twice(name);
    return true;
  }
  path_.add_member(name);
  if (at_member("instances") || at_member("inputs")) {
    if (found) refuse_request("the request takes `instances` or `inputs`, once");
    found = true;
    instances = at_member("instances");
  }
  return true;
}

template <class Give>
bool V1Reader::scalar(const Give& give) {
  if (at_member("instances")) refuse_instances();
  if (JsonHandler* value = begin_value()) give(*value);
  return true;
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
  JsonCursor cursor(text);
  Columns columns(inputs, cursor);
  V1Reader measure(cursor, limits, columns, Pass::measure);
  cursor.parse(measure);
  if (!measure.found) refuse_request("the request lacks `instances` or `inputs`");
  columns.make_room(measure.rows, text.size(), limits);
  V1Reader fill(cursor, limits, columns, Pass::fill);
  cursor.parse(fill);
  return {v2_assemble(columns.finish(), inputs, limits), measure.instances};
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
