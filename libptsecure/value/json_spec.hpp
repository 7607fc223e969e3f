#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "libptsecure/value/spec.hpp"

// How a manifest stores what a model takes and returns:
//   {"name": "images", "kind": "tensor", "datatype": "FP32", "shape": [-1, 1, 8, 8]}
// `kind`, `datatype` and `shape` are left out when unknown, `optional` when false.
namespace ptsecure {

nlohmann::json spec_to_json(const ValueSpec& spec);
nlohmann::json specs_to_json(const std::vector<ValueSpec>& specs);

// Members that aren't known are ignored; wrong types and impossible values throw Status::corrupt.
ValueSpec spec_from_json(const nlohmann::json& json);
std::vector<ValueSpec> specs_from_json(const nlohmann::json& json);

}  // namespace ptsecure
