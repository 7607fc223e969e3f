#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/value/spec.hpp"
#include "libptsecure/value/validate.hpp"
#include "libptsecure/value/value.hpp"

// The Open Inference Protocol (V2) in JSON, to and from values.
//
// Tensors. `data` is an array, flat or nested exactly as `shape` says. Numbers that don't fit the
// datatype are refused, never wrapped or clipped (too small ones round to 0); integers take no
// fraction or exponent; BOOL takes true, false, 0 and 1. JSON has no NaN and no infinity: in
// floating-point tensors the strings "NaN", "Infinity" and "-Infinity" stand for them, in requests
// and in responses. Complex elements are pairs of numbers: `data` is that of the shape with 2 added
// at its end. The members of an input may come in any order; data that stands last is read in one
// pass.
//
// Inputs that aren't tensors. Where the model expects an int, float, bool or string, a tensor of
// one element (integers, floats, BOOL, BYTES) is taken for it. BYTES of one element is a string, of
// any other number a list of strings. A list or tuple of ints, floats, bools or strings may be
// given as one tensor of rank 1; lists, tuples and dicts otherwise by their leaves, named
// `input.0`, `input.1`, `input.key`, and deeper `input.0.key`, where a level whose names are 0, 1,
// 2 ... is a list and any other a dict.
//
// Results. A single value has the name of the only output, or "output"; the elements of a tuple or
// list have the names of the outputs when there are as many, else "output_0", "output_1"; those of
// a dict their keys; what lies deeper is joined by dots: "output_0.state.1". int, float, bool and
// string leaves become INT64, FP64, BOOL and BYTES of shape [1], in that order; a none has no
// output.
namespace ptsecure {

struct V2Limits {
  std::size_t max_depth = 64;          // of arrays and objects in each other
  std::size_t max_members = 1024;      // inputs; outputs; members of one object
  std::size_t max_list_items = 65536;  // of a list that is given as one tensor
  std::size_t max_bytes = 1u << 30;    // of all input tensors together
};

struct V2Output {
  std::string name;
  std::optional<bool> binary;  // parameter binary_data
};

struct V2Request {
  std::string id;
  std::vector<NamedValue> inputs;      // as bind_inputs() takes them
  std::vector<V2Output> outputs;       // empty = all
  std::vector<NamedValue> parameters;  // bool, int, float and string ones
  bool binary_output = false;          // parameter binary_data_output
};

// One pass over `json` into the tensors' own memory. `inputs` is the model's signature, from which
// only the kinds are taken (bind_inputs() checks the rest). `binary` holds the bytes behind the
// JSON that inputs with a `binary_data_size` take in turn. Duplicate member names, trailing bytes,
// invalid UTF-8 and data that doesn't match its shape throw Status::invalid_input, what is over a
// limit Status::limit_exceeded. The caller bounds the size of `json`. With an `owner` tensors lie
// in `binary` itself where its alignment allows; users of the tensors may write to it then.
V2Request parse_v2_request(std::string_view json, const std::vector<ValueSpec>& inputs,
                           const V2Limits& limits = {}, ByteView binary = {},
                           std::shared_ptr<TensorOwner> owner = nullptr);

// A response; `binary` goes behind `json` on the wire and is empty when no output is binary.
struct V2Response {
  std::string json;
  Bytes binary;
};

// `selected`: the outputs asked for, all when empty; a name selects that output and everything
// below it. Status::invalid_input for one that isn't there. `binary_output` is the default for
// outputs that don't say.
V2Response v2_response(std::string_view model_name, std::string_view model_version,
                       std::string_view id, const Value& result,
                       const std::vector<ValueSpec>& outputs,
                       const std::vector<V2Output>& selected = {}, bool binary_output = false);

// The same without binary data, whatever was asked.
std::string v2_response_json(std::string_view model_name, std::string_view model_version,
                             std::string_view id, const Value& result,
                             const std::vector<ValueSpec>& outputs,
                             const std::vector<V2Output>& selected = {});

// The leaves of a result with the names they have in a response.
std::vector<NamedValue> v2_flatten(const Value& result, const std::vector<ValueSpec>& outputs);

// A body that can be sent as it is: zeros, empty strings, free dimensions 1, optional inputs left
// out.
std::string v2_example_request(const std::vector<ValueSpec>& inputs);

// Model metadata. What isn't known of an input or output is left out; `kind` is added to what isn't
// a tensor.
std::string v2_metadata_json(std::string_view name, const std::vector<std::string>& versions,
                             std::string_view platform, const std::vector<ValueSpec>& inputs,
                             const std::vector<ValueSpec>& outputs);

}  // namespace ptsecure
