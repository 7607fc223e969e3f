#include <algorithm>
#include <optional>
#include <utility>

#include "libptsecure/protocol/json_cursor.hpp"
#include "libptsecure/protocol/json_path.hpp"
#include "libptsecure/protocol/v2_data.hpp"
#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/protocol/v2_tree.hpp"
#include "libptsecure/value/raw_tensor.hpp"

namespace ptsecure {
namespace {

// Checks that an array is JSON and not nested too deep, and takes nothing of it.
class ArraySkipper final : public JsonHandler {
 public:
  // `depth`: of what the array stands in.
  ArraySkipper(JsonCursor& cursor, const V2Limits& limits, std::size_t depth)
      : JsonHandler(cursor), limits_(limits), depth_(depth) {}

  bool start_array(std::size_t) override {
    check_json_depth(++depth_, limits_);
    cursor_.take_numbers([](const char*, const char*) { return true; });
    return true;
  }
  bool start_object(std::size_t) override {
    check_json_depth(++depth_, limits_);
    return true;
  }
  bool end_array() override { return leave(); }
  bool end_object() override { return leave(); }
  bool key(std::string&) override { return true; }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }

 private:
  bool leave() {
    --depth_;
    return true;
  }

  const V2Limits& limits_;
  std::size_t depth_;
};

// One member of `inputs` while it is read.
struct Input {
  std::optional<std::string> name;
  std::optional<std::string> datatype;
  std::optional<Dims> shape;
  std::optional<V2Elements> elements;
  std::optional<std::string_view> late_data;  // data that stood before datatype or shape
  std::optional<std::int64_t> binary_size;

  V2InputHead head() const;
};

V2InputHead Input::head() const {
  V2InputHead head;
  head.label = printable_name(*name);
  head.shape = *shape;
  if (*datatype == "BYTES") return head;
  head.dtype = dtype_from_v2(*datatype);
  if (head.dtype) return head;
  refuse_request(
      "input `" + head.label + "` has the datatype `" + printable_name(*datatype) +
      "`, which is none of BOOL, INT8 to INT64, UINT8 to UINT64, FP16, BF16, FP32, FP64, BYTES "
      "and COMPLEX32 to COMPLEX128");
}

// Where in a request a value stands, by what it stands in.
enum class Place {
  document,
  request,
  request_parameters,
  inputs,
  input,
  shape,
  input_parameters,
  outputs,
  output,
  output_parameters,
  ignored,
};

// Reads the request; tensors are filled on the way, by a V2DataSink on the same text.
class RequestReader final : public JsonHandler {
 public:
  RequestReader(JsonCursor& cursor, const V2Limits& limits, ByteView binary,
                std::shared_ptr<TensorOwner> owner)
      : JsonHandler(cursor),
        limits_(limits),
        path_(limits, &kDocument),
        budget_(limits),
        binary_(binary),
        owner_(std::move(owner)) {}

  V2Request request;
  std::vector<std::pair<std::string, V2Elements>> inputs;

  // After the whole text was read.
  void check_complete() const;

  bool start_object(std::size_t) override { return open(ValueKind::dict); }
  bool start_array(std::size_t) override { return open(ValueKind::list); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    path_.add_member(name);
    return true;
  }
  bool null() override { return scalar(Value()); }
  bool boolean(bool value) override { return scalar(Value(value)); }
  bool number_integer(std::int64_t value) override { return scalar(Value(value)); }
  bool number_unsigned(std::uint64_t value) override {
    const bool fits = std::in_range<std::int64_t>(value);
    return scalar(fits ? Value(static_cast<std::int64_t>(value))
                       : Value(static_cast<double>(value)));
  }
  bool number_float(double value, const std::string&) override { return scalar(Value(value)); }
  bool string(std::string& value) override { return scalar(Value(std::move(value))); }

 private:
  // What may stand at a place, and what becomes of it.
  struct Rule {
    Place at;
    const char* member = nullptr;     // nullptr = any, and the elements of an array
    std::optional<ValueKind> kind{};  // list: an array, dict: an object; nullopt = any but these
    Place inside = Place::ignored;    // what stands in such an array or object
    bool nullable = false;
    void (RequestReader::*begin)() = nullptr;  // of an array or object
    void (RequestReader::*end)() = nullptr;
    void (RequestReader::*take)(Value&) = nullptr;  // anything else
  };
  static const Rule kDocument;
  static const Rule kRules[];

  const Rule* rule() const;
  bool open(ValueKind kind);
  bool close();
  bool scalar(Value value);
  [[noreturn]] void wrong_type() const;
  void check_count(std::size_t count, const char* what) const;

  void end_request() { cursor_.document_ended(); }
  void take_id(Value& value) { request.id = std::move(value.get<std::string>()); }
  void take_binary_output(Value& value);
  void take_parameter(Value& value);
  void begin_inputs() { has_inputs_ = true; }
  void begin_input();
  void end_input();
  void take_name(Value& value) { input_.name = std::move(value.get<std::string>()); }
  void take_datatype(Value& value) { input_.datatype = std::move(value.get<std::string>()); }
  void begin_shape() { extents_.clear(); }
  void take_extent(Value& value);
  void end_shape() { input_.shape = Dims(std::span<const std::int64_t>(extents_)); }
  void begin_data();
  void take_binary_size(Value& value);
  void begin_output();
  void end_output();
  void take_output_name(Value& value);
  void take_output_binary(Value& value) { request.outputs.back().binary = value.get<bool>(); }
  [[noreturn]] void take_classification(Value& value);

  V2Elements read_data(JsonCursor& cursor);
  V2Elements read_binary();

  const V2Limits& limits_;
  JsonPath<const Rule*> path_;
  V2Budget budget_;
  ByteView binary_;
  std::shared_ptr<TensorOwner> owner_;
  bool has_inputs_ = false;
  std::vector<std::int64_t> extents_;
  Input input_;
};

using R = RequestReader;

const R::Rule R::kDocument = {.at = Place::ignored, .inside = Place::document};

// What isn't listed is ignored. The first that fits counts.
const R::Rule R::kRules[] = {
    {.at = Place::document,
     .kind = ValueKind::dict,
     .inside = Place::request,
     .end = &R::end_request},

    {.at = Place::request,
     .member = "id",
     .kind = ValueKind::string,
     .nullable = true,
     .take = &R::take_id},
    {.at = Place::request,
     .member = "parameters",
     .kind = ValueKind::dict,
     .inside = Place::request_parameters,
     .nullable = true},
    {.at = Place::request_parameters,
     .member = "binary_data_output",
     .kind = ValueKind::boolean,
     .take = &R::take_binary_output},
    {.at = Place::request_parameters, .take = &R::take_parameter},

    {.at = Place::request,
     .member = "inputs",
     .kind = ValueKind::list,
     .inside = Place::inputs,
     .begin = &R::begin_inputs},
    {.at = Place::inputs,
     .kind = ValueKind::dict,
     .inside = Place::input,
     .begin = &R::begin_input,
     .end = &R::end_input},
    {.at = Place::input, .member = "name", .kind = ValueKind::string, .take = &R::take_name},
    {.at = Place::input,
     .member = "datatype",
     .kind = ValueKind::string,
     .take = &R::take_datatype},
    {.at = Place::input,
     .member = "shape",
     .kind = ValueKind::list,
     .inside = Place::shape,
     .begin = &R::begin_shape,
     .end = &R::end_shape},
    {.at = Place::shape, .kind = ValueKind::integer, .take = &R::take_extent},
    {.at = Place::input, .member = "data", .kind = ValueKind::list, .begin = &R::begin_data},
    {.at = Place::input,
     .member = "parameters",
     .kind = ValueKind::dict,
     .inside = Place::input_parameters,
     .nullable = true},
    {.at = Place::input_parameters,
     .member = "binary_data_size",
     .kind = ValueKind::integer,
     .take = &R::take_binary_size},

    {.at = Place::request,
     .member = "outputs",
     .kind = ValueKind::list,
     .inside = Place::outputs,
     .nullable = true},
    {.at = Place::outputs,
     .kind = ValueKind::dict,
     .inside = Place::output,
     .begin = &R::begin_output,
     .end = &R::end_output},
    {.at = Place::output,
     .member = "name",
     .kind = ValueKind::string,
     .take = &R::take_output_name},
    {.at = Place::output,
     .member = "parameters",
     .kind = ValueKind::dict,
     .inside = Place::output_parameters,
     .nullable = true},
    {.at = Place::output_parameters,
     .member = "binary_data",
     .kind = ValueKind::boolean,
     .take = &R::take_output_binary},
    {.at = Place::output_parameters, .member = "classification", .take = &R::take_classification},
};

// For the value that begins now; nullptr = ignored.
const R::Rule* R::rule() const {
  const auto found = std::find_if(std::begin(kRules), std::end(kRules), [&](const Rule& rule) {
    return rule.at == path_.place()->inside &&
           (rule.member == nullptr || path_.member() == rule.member);
  });
  return found != std::end(kRules) ? found : nullptr;
}

bool R::open(ValueKind kind) {
  static constexpr Rule kIgnored = {.at = Place::ignored};
  const Rule* rule = this->rule();
  if (rule == nullptr || !rule->kind) rule = &kIgnored;
  if (rule->kind && rule->kind != kind) wrong_type();
  path_.enter(rule);
  if (rule->begin != nullptr) (this->*rule->begin)();
  return true;
}

bool R::close() {
  const Rule* rule = path_.leave();
  if (rule->end != nullptr) (this->*rule->end)();
  return true;
}

bool R::scalar(Value value) {
  const Rule* rule = this->rule();
  if (rule == nullptr || (rule->nullable && value.is(ValueKind::none))) return true;
  if (rule->kind && !value.is(*rule->kind)) wrong_type();
  (this->*rule->take)(value);
  return true;
}

void R::wrong_type() const {
  switch (path_.place()->inside) {
    case Place::document:
      refuse_request("the request must be a JSON object");
    case Place::inputs:
      refuse_request("`inputs` must be an array of objects");
    case Place::outputs:
      refuse_request("`outputs` must be an array of objects");
    case Place::shape:
      refuse_request("`shape` must be an array of whole numbers from 0");
    default:
      refuse_request("the member `" + printable_name(path_.member()) +
                     "` of the request has the wrong type of value");
  }
}

void R::check_count(std::size_t count, const char* what) const {
  if (count < limits_.max_members) return;
  throw Error(Status::limit_exceeded,
              "the request has more than " + std::to_string(limits_.max_members) + " " + what);
}

void R::take_binary_output(Value& value) {
  request.binary_output = value.get<bool>();
  take_parameter(value);
}

void R::take_parameter(Value& value) {
  request.parameters.emplace_back(path_.member(), std::move(value));
}

void R::begin_input() {
  check_count(inputs.size(), "inputs");
  input_ = {};
}

void R::take_extent(Value& value) {
  const auto extent = value.get<std::int64_t>();
  if (extent < 0) wrong_type();
  if (extents_.size() == Dims::kMaxRank) {
    throw Error(Status::limit_exceeded, "a shape has more than 16 extents");
  }
  extents_.push_back(extent);
}

// Reads the data now when all is known that it takes, else notes where it stands.
void R::begin_data() {
  if (input_.name && input_.datatype && input_.shape) {
    input_.elements = read_data(cursor_);
  } else {
    ArraySkipper skipper(cursor_, limits_, path_.depth() - 1);
    input_.late_data = cursor_.take_array(skipper);
  }
}

V2Elements R::read_data(JsonCursor& cursor) {
  const V2InputHead head = input_.head();
  budget_.take(head);
  const std::size_t left = cursor.left();
  if (!head.fits(left)) {
    // The text ends early, or the data does: the sink says the latter.
    ArraySkipper skipper(cursor, limits_, path_.depth() - 1);
    cursor.take_array(skipper);
  }
  V2DataSink sink(cursor, head, left);
  cursor.take_array(sink);
  return sink.finish();
}

void R::take_binary_size(Value& value) {
  input_.binary_size = value.get<std::int64_t>();
  if (*input_.binary_size < 0) wrong_type();
}

V2Elements R::read_binary() {
  const V2InputHead head = input_.head();
  budget_.take(head);
  const auto size = static_cast<std::uint64_t>(*input_.binary_size);
  if (size > binary_.size()) {
    refuse_request("input `" + head.label + "` has a binary_data_size of " + std::to_string(size) +
                   ", but only " + std::to_string(binary_.size()) + " bytes are left");
  }
  const ByteView raw = binary_.first(size);
  binary_ = binary_.subspan(size);
  V2Elements elements;
  if (head.dtype) {
    elements.tensor = owner_ ? raw_to_tensor(*head.dtype, head.shape, raw, owner_)
                             : raw_to_tensor(*head.dtype, head.shape, raw);
  } else {
    elements.strings = raw_to_strings(raw, head.elements());
  }
  return elements;
}

void R::end_input() {
  if (!input_.name || !input_.datatype || !input_.shape) {
    refuse_request("every input needs `name`, `shape` and `datatype`, but one lacks `" +
                   std::string(!input_.name    ? "name"
                               : !input_.shape ? "shape"
                                               : "datatype") +
                   "`");
  }
  const bool has_data = input_.elements || input_.late_data;
  if (has_data == input_.binary_size.has_value()) {
    refuse_request("input `" + printable_name(*input_.name) + "` needs " +
                   (has_data ? "either `data` or `binary_data_size`, not both"
                             : "`data`, or `binary_data_size` and its bytes behind the JSON"));
  }
  if (input_.late_data) {
    JsonCursor late = cursor_.again(*input_.late_data);
    input_.elements = read_data(late);
  }
  if (input_.binary_size) input_.elements = read_binary();
  inputs.emplace_back(std::move(*input_.name), std::move(*input_.elements));
}

void R::begin_output() {
  check_count(request.outputs.size(), "outputs");
  request.outputs.emplace_back();
}

void R::take_output_name(Value& value) {
  request.outputs.back().name = std::move(value.get<std::string>());
}

void R::take_classification(Value&) {
  throw Error(Status::unsupported, "the output parameter `classification` is not supported");
}

void R::end_output() {
  if (request.outputs.back().name.empty()) {
    refuse_request("an output that is asked for lacks its `name`");
  }
}

void R::check_complete() const {
  if (!has_inputs_) refuse_request("the request lacks `inputs`");
  if (binary_.empty()) return;
  refuse_request("the request has " + std::to_string(binary_.size()) +
                 " bytes of binary data that no input takes" + cursor_.size_note());
}

}  // namespace

V2Request parse_v2_request(std::string_view text, const std::vector<ValueSpec>& inputs,
                           const V2Limits& limits, ByteView binary,
                           std::shared_ptr<TensorOwner> owner) {
  JsonCursor cursor(text, text.size() + binary.size());
  RequestReader reader(cursor, limits, binary, std::move(owner));
  cursor.parse(reader);
  reader.check_complete();
  reader.request.inputs = v2_assemble(std::move(reader.inputs), inputs, limits);
  return std::move(reader.request);
}

}  // namespace ptsecure
