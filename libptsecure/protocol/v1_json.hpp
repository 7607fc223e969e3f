#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/value/spec.hpp"
#include "libptsecure/value/validate.hpp"
#include "libptsecure/value/value.hpp"

// KServe's V1 protocol in plain JSON: {"instances": [...]} or {"inputs": ...} in, {"predictions":
// ...} out.
//
// `instances` has one element per row: a value of the only input, or an object with a value per
// input. `inputs` has whole inputs instead: that of the only one, or an object of them. Arrays are
// nested as the tensor is; its shape is read off them and its datatype taken from the model's
// signature, so that has to be known. NaN and infinities are strings as in V2.
//
// The answer to `instances` has one element per row when every output has as many rows, with an
// object of outputs in it when there are several; any other answer is the output, or an object of
// them.
namespace ptsecure {

struct V1Request {
  std::vector<NamedValue> inputs;  // as bind_inputs() takes them
  bool rows = false;               // `instances`
};

// Errors as parse_v2_request().
V1Request parse_v1_request(std::string_view json, const std::vector<ValueSpec>& inputs,
                           const V2Limits& limits = {});

std::string v1_response(const Value& result, const std::vector<ValueSpec>& outputs, bool rows);

}  // namespace ptsecure
