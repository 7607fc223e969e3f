#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "libptsecure/base/text.hpp"
#include "libptsecure/protocol/v2_data.hpp"
#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/protocol/v2_text.hpp"
#include "libptsecure/protocol/v2_tree.hpp"
#include "libptsecure/value/raw_tensor.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

[[noreturn]] void over_limit(const std::string& what) {
  throw Error(Status::limit_exceeded, what);
}

[[noreturn]] void refuse_syntax(const Cursor& cursor, const nlohmann::detail::exception& error) {
  constexpr int kNumberOutOfRange = 406;
  refuse(std::string("the request ") +
         (error.id == kNumberOutOfRange ? "has a number that is too large" : "is not valid JSON") +
         " at byte " + std::to_string(cursor.at - cursor.begin));
}

// Reads one `data` array.
class DataHandler {
 public:
  DataHandler(Cursor& cursor, V2DataSink& sink) : cursor_(cursor), sink_(sink) {}

  bool start_array(std::size_t) {
    sink_.open_array();
    cursor_.at = sink_.read_numbers(cursor_.at, cursor_.end);
    return true;
  }
  bool end_array() {
    sink_.close_array();
    return true;
  }
  bool boolean(bool value) {
    sink_.boolean(value);
    return true;
  }
  bool number_integer(std::int64_t value) {
    sink_.integer(value);
    return true;
  }
  bool number_unsigned(std::uint64_t value) {
    sink_.unsigned_integer(value);
    return true;
  }
  bool number_float(double value, const std::string& token) {
    sink_.real(value, token);
    return true;
  }
  bool string(std::string& value) {
    sink_.string(value);
    return true;
  }
  bool null() { sink_.refuse("has null in its data"); }
  bool start_object(std::size_t) { sink_.refuse("has an object in its data"); }
  bool key(const std::string&) { return false; }
  bool end_object() { return false; }
  bool binary(const json::binary_t&) { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    refuse_syntax(cursor_, error);
  }

 private:
  Cursor& cursor_;
  V2DataSink& sink_;
};

// One member of `inputs` while it is read.
struct Input {
  std::optional<std::string> name;
  std::optional<std::string> datatype;
  std::optional<Dims> shape;
  std::optional<V2Elements> elements;
  std::span<const char> late_data;  // data that stood before datatype or shape
  std::optional<std::int64_t> binary_size;
};

enum class Place {
  document,
  request,
  inputs,
  input,
  shape,
  outputs,
  output,
  parameters,  // of whatever encloses them
  late_data,
  ignored,
};

// Reads the request; tensors are filled on the way, by a DataHandler on the same text.
class RequestHandler {
 public:
  RequestHandler(Cursor& cursor, const V2Limits& limits, ByteView binary,
                 std::shared_ptr<TensorOwner> owner)
      : cursor_(cursor), limits_(limits), binary_(binary), owner_(std::move(owner)) {
    levels_.push_back({Place::document, {}, {}});
  }

  V2Request request;
  std::vector<std::pair<std::string, V2Elements>> inputs;
  bool has_inputs = false;

  bool start_object(std::size_t) {
    Place next = Place::ignored;
    switch (place()) {
      case Place::document:
        next = Place::request;
        break;
      case Place::inputs:
        check_count(inputs.size(), "inputs");
        input_ = {};
        next = Place::input;
        break;
      case Place::outputs:
        check_count(request.outputs.size(), "outputs");
        request.outputs.emplace_back();
        next = Place::output;
        break;
      case Place::request:
      case Place::input:
      case Place::output:
        if (member() == "parameters")
          next = Place::parameters;
        else if (known_member())
          wrong_type();
        break;
      case Place::shape:
        wrong_type();
      case Place::parameters:
      case Place::late_data:
      case Place::ignored:
        break;
    }
    enter(next);
    return true;
  }

  bool start_array(std::size_t) {
    Place next = Place::ignored;
    switch (place()) {
      case Place::document:
        refuse("the request must be a JSON object");
      case Place::request:
        if (member() == "inputs")
          next = Place::inputs;
        else if (member() == "outputs")
          next = Place::outputs;
        else if (known_member())
          wrong_type();
        break;
      case Place::input:
        if (member() == "shape")
          next = Place::shape;
        else if (member() == "data")
          next = start_data();
        else if (known_member())
          wrong_type();
        break;
      case Place::output:
        if (known_member()) wrong_type();
        break;
      case Place::inputs:
      case Place::outputs:
      case Place::shape:
        wrong_type();
      case Place::parameters:
      case Place::late_data:
      case Place::ignored:
        break;
    }
    if (next == Place::inputs) has_inputs = true;
    if (next == Place::shape) extents_.clear();
    const bool late = next == Place::late_data || place() == Place::late_data;
    enter(late ? Place::late_data : next);
    if (late) cursor_.at = skip_numbers(cursor_.at, cursor_.end);
    return true;
  }

  bool end_array() {
    const Place left = place();
    levels_.pop_back();
    if (left == Place::shape) input_.shape = Dims(std::span<const std::int64_t>(extents_));
    if (left == Place::late_data && place() == Place::input) {
      input_.late_data = {late_begin_, static_cast<std::size_t>(cursor_.at - late_begin_)};
    }
    return true;
  }

  bool end_object() {
    const Place left = place();
    levels_.pop_back();
    if (left == Place::input) finish_input();
    if (left == Place::output && request.outputs.back().name.empty()) {
      refuse("an output that is asked for lacks its `name`");
    }
    return true;
  }

  bool key(std::string& name) {
    Level& level = levels_.back();
    check_count(level.members.size(), "members in one object");
    if (!level.members.insert(name).second) {
      refuse("the request has the member `" + printable_name(name) + "` twice in one object");
    }
    level.member = std::move(name);
    return true;
  }

  bool null() { return scalar(Value()); }
  bool boolean(bool value) { return scalar(Value(value)); }
  bool number_integer(std::int64_t value) { return scalar(Value(value)); }
  bool number_unsigned(std::uint64_t value) {
    const bool fits = std::in_range<std::int64_t>(value);
    return scalar(fits ? Value(static_cast<std::int64_t>(value))
                       : Value(static_cast<double>(value)));
  }
  bool number_float(double value, const std::string&) { return scalar(Value(value)); }
  bool string(std::string& value) { return scalar(Value(std::move(value))); }
  bool binary(const json::binary_t&) { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    refuse_syntax(cursor_, error);
  }

  void check_binary_used() const {
    if (!binary_.empty()) {
      refuse("the request has " + std::to_string(binary_.size()) +
             " bytes of binary data that no input takes");
    }
  }

 private:
  struct Level {
    Place place;
    std::set<std::string> members;
    std::string member;  // the latest
  };

  Place place() const { return levels_.back().place; }
  Place outer_place() const { return levels_[levels_.size() - 2].place; }
  const std::string& member() const { return levels_.back().member; }

  void enter(Place next) {
    if (levels_.size() > limits_.max_depth) {
      over_limit("the request nests arrays and objects deeper than " +
                 std::to_string(limits_.max_depth));
    }
    levels_.push_back({next, {}, {}});
  }

  void check_count(std::size_t count, const char* what) const {
    if (count >= limits_.max_members) {
      over_limit("the request has more than " + std::to_string(limits_.max_members) + " " + what);
    }
  }

  bool known_member() const {
    const std::string& name = member();
    if (name == "parameters") return true;
    switch (place()) {
      case Place::request:
        return name == "id" || name == "inputs" || name == "outputs";
      case Place::input:
        return name == "name" || name == "datatype" || name == "shape" || name == "data";
      case Place::output:
        return name == "name";
      default:
        return false;
    }
  }

  [[noreturn]] void wrong_type() const {
    switch (place()) {
      case Place::document:
        refuse("the request must be a JSON object");
      case Place::inputs:
        refuse("`inputs` must be an array of objects");
      case Place::outputs:
        refuse("`outputs` must be an array of objects");
      case Place::shape:
        refuse("`shape` must be an array of whole numbers from 0");
      default:
        refuse("the member `" + printable_name(member()) +
               "` of the request has the wrong type of value");
    }
  }

  bool scalar(Value value) {
    switch (place()) {
      case Place::ignored:
      case Place::late_data:
        break;
      case Place::request:
        request_member(std::move(value));
        break;
      case Place::input:
        input_member(std::move(value));
        break;
      case Place::output:
        output_member(std::move(value));
        break;
      case Place::parameters:
        parameter(std::move(value));
        break;
      case Place::shape: {
        const auto* extent = value.get_if<std::int64_t>();
        if (extent == nullptr || *extent < 0) wrong_type();
        if (extents_.size() == Dims::kMaxRank) over_limit("a shape has more than 16 extents");
        extents_.push_back(*extent);
        break;
      }
      case Place::document:
      case Place::inputs:
      case Place::outputs:
        wrong_type();
    }
    return true;
  }

  std::string take_text(Value& value) const {
    auto* text = value.get_if<std::string>();
    if (text == nullptr) wrong_type();
    return std::move(*text);
  }

  void request_member(Value value) {
    const bool absent = value.is(ValueKind::none) && member() != "inputs";
    if (!known_member() || absent) return;
    if (member() != "id") wrong_type();
    request.id = take_text(value);
  }

  void input_member(Value value) {
    if (member() == "name")
      input_.name = take_text(value);
    else if (member() == "datatype")
      input_.datatype = take_text(value);
    else if (member() == "parameters" && value.is(ValueKind::none))
      return;
    else if (known_member())
      wrong_type();
  }

  void output_member(Value value) {
    if (member() == "name")
      request.outputs.back().name = take_text(value);
    else if (known_member() && !value.is(ValueKind::none))
      wrong_type();
  }

  void parameter(Value value) {
    if (outer_place() == Place::request) {
      if (member() == "binary_data_output") request.binary_output = flag(value);
      request.parameters.emplace_back(member(), std::move(value));
    } else if (outer_place() == Place::input && member() == "binary_data_size") {
      const auto* size = value.get_if<std::int64_t>();
      if (size == nullptr || *size < 0) wrong_type();
      input_.binary_size = *size;
    } else if (outer_place() == Place::output && member() == "binary_data") {
      request.outputs.back().binary = flag(value);
    } else if (outer_place() == Place::output && member() == "classification") {
      throw Error(Status::unsupported, "the output parameter `classification` is not supported");
    }
  }

  bool flag(const Value& value) const {
    const bool* set = value.get_if<bool>();
    if (set == nullptr) wrong_type();
    return *set;
  }

  // Reads the data now when all is known that it takes, else notes where it stands.
  Place start_data() {
    const char* opening = cursor_.at - 1;
    if (!input_.name || !input_.datatype || !input_.shape) {
      late_begin_ = opening;
      return Place::late_data;
    }
    cursor_.at = opening;
    input_.elements = read_data(cursor_);
    --cursor_.at;  // the closing bracket is this parser's
    return Place::ignored;
  }

  V2InputHead head() const {
    V2InputHead head;
    head.label = printable_name(*input_.name);
    head.shape = *input_.shape;
    if (*input_.datatype != "BYTES") {
      head.dtype = dtype_from_v2(*input_.datatype);
      if (!head.dtype) {
        refuse("input `" + head.label + "` has the datatype `" + printable_name(*input_.datatype) +
               "`, which is none of BOOL, INT8 to INT64, UINT8 to UINT64, FP16, BF16, FP32, FP64, "
               "BYTES and COMPLEX32 to COMPLEX128");
      }
    }
    return head;
  }

  void count_bytes(const V2InputHead& head) {
    Tensor probe;
    probe.dtype = head.dtype.value_or(DType::uint8);
    probe.shape = head.shape;
    const std::size_t size = probe.nbytes();
    // Each element becomes an object of its own, far larger than what it was read from.
    if (!head.dtype && size > limits_.max_list_items) {
      over_limit("input `" + head.label + "` has " + std::to_string(size) +
                 " elements of BYTES, but at most " + std::to_string(limits_.max_list_items) +
                 " are taken");
    }
    if (size > limits_.max_bytes - used_bytes_) {
      over_limit("the request's tensors are larger than " + std::to_string(limits_.max_bytes) +
                 " bytes");
    }
    used_bytes_ += size;
  }

  V2Elements read_data(Cursor& from) {
    const V2InputHead described = head();
    count_bytes(described);
    V2DataSink sink(described, static_cast<std::size_t>(from.end - from.at));
    DataHandler handler(from, sink);
    parse_json(from, handler, false);
    return sink.finish();
  }

  V2Elements read_binary() {
    const V2InputHead described = head();
    count_bytes(described);
    const auto size = static_cast<std::uint64_t>(*input_.binary_size);
    if (size > binary_.size()) {
      refuse("input `" + described.label + "` has a binary_data_size of " + std::to_string(size) +
             ", but only " + std::to_string(binary_.size()) + " bytes are left");
    }
    const ByteView raw = binary_.first(size);
    binary_ = binary_.subspan(size);
    V2Elements elements;
    if (described.dtype) {
      elements.tensor = owner_ ? raw_to_tensor(*described.dtype, described.shape, raw, owner_)
                               : raw_to_tensor(*described.dtype, described.shape, raw);
    } else {
      Tensor probe;
      probe.dtype = DType::uint8;
      probe.shape = described.shape;
      elements.strings = raw_to_strings(raw, probe.numel());
    }
    return elements;
  }

  void finish_input() {
    if (!input_.name || !input_.datatype || !input_.shape) {
      refuse("every input needs `name`, `shape` and `datatype`, but one lacks `" +
             std::string(!input_.name    ? "name"
                         : !input_.shape ? "shape"
                                         : "datatype") +
             "`");
    }
    const bool has_data = input_.elements || !input_.late_data.empty();
    if (has_data == input_.binary_size.has_value()) {
      refuse("input `" + printable_name(*input_.name) + "` needs " +
             (has_data ? "either `data` or `binary_data_size`, not both"
                       : "`data`, or `binary_data_size` and its bytes behind the JSON"));
    }
    if (!input_.late_data.empty()) {
      const char* first = input_.late_data.data();
      Cursor late{cursor_.begin, first, first + input_.late_data.size()};
      input_.elements = read_data(late);
    }
    if (input_.binary_size) input_.elements = read_binary();
    inputs.emplace_back(std::move(*input_.name), std::move(*input_.elements));
  }

  Cursor& cursor_;
  const V2Limits& limits_;
  ByteView binary_;
  std::shared_ptr<TensorOwner> owner_;
  std::size_t used_bytes_ = 0;
  std::vector<Level> levels_;
  std::vector<std::int64_t> extents_;
  const char* late_begin_ = nullptr;
  Input input_;
};

}  // namespace

V2Request parse_v2_request(std::string_view text, const std::vector<ValueSpec>& inputs,
                           const V2Limits& limits, ByteView binary,
                           std::shared_ptr<TensorOwner> owner) {
  // The parser takes a NUL for the end of its input.
  if (text.find('\0') != std::string_view::npos) {
    refuse("the request is not valid JSON: it holds a NUL byte");
  }
  Cursor cursor{text.data(), text.data(), text.data() + text.size()};
  RequestHandler handler(cursor, limits, binary, std::move(owner));
  parse_json(cursor, handler, true);
  if (!handler.has_inputs) refuse("the request lacks `inputs`");
  handler.check_binary_used();
  handler.request.inputs = v2_assemble(std::move(handler.inputs), inputs, limits);
  return std::move(handler.request);
}

}  // namespace ptsecure
