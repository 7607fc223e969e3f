#pragma once

#include <string>
#include <utility>
#include <vector>

#include "libptsecure/protocol/v2_data.hpp"
#include "libptsecure/protocol/v2_json.hpp"

// Internal to v2_request.cc: what a request's tensors are for the model.
namespace ptsecure {

// Turns tensors into the ints, strings, lists ... that the model expects in their place, and joins
// inputs named `input.0` or `input.key` to lists, tuples and dicts.
std::vector<NamedValue> v2_assemble(std::vector<std::pair<std::string, V2Elements>> elements,
                                    const std::vector<ValueSpec>& inputs, const V2Limits& limits);

}  // namespace ptsecure
