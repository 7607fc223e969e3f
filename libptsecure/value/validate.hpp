#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libptsecure/value/spec.hpp"
#include "libptsecure/value/value.hpp"

namespace ptsecure {

using NamedValue = std::pair<std::string, Value>;

// True when `values`, in this order, are what `inputs` ask for, as they are: number, kind, datatype
// and shape; optional inputs may be none, or missing at the end. Never allocates, so it can stand
// before every run; when it says no, bind_inputs() converts or explains.
bool inputs_match(std::span<const ValueSpec> inputs, std::span<const Value> values) noexcept;

// The arguments of a call in the order of `inputs`: positional ones first, then those given by
// name. An optional input that is missing before a given one becomes none; missing ones at the end
// are left off. An int is taken where a float is expected, a list for a tuple and a tuple for a
// list. Anything else that doesn't fit throws Status::invalid_input with one sentence that names
// the whole signature and what was given.
std::vector<Value> bind_inputs(const std::vector<ValueSpec>& inputs,
                               std::span<const Value> positional,
                               std::span<const NamedValue> named = {});

// "images: FP32[-1,1,8,8]", "scale: float (optional)", "state: any".
std::string describe(const ValueSpec& spec);
// The specs joined by commas; "no inputs" when there are none.
std::string describe(const std::vector<ValueSpec>& specs);
// "FP32[1,8]", "int", "list of 3".
std::string describe(const Value& value);

}  // namespace ptsecure
