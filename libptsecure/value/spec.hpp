#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libptsecure/value/value.hpp"

// What a model takes and returns. Header-only: shared with the engine plug-in.
namespace ptsecure {

// One input or output. What is not known is not checked.
struct ValueSpec {
  std::string name;
  std::optional<ValueKind> kind;                   // nullopt = any kind
  std::optional<DType> dtype;                      // of a tensor
  std::optional<std::vector<std::int64_t>> shape;  // of a tensor; -1 = free dimension
  bool optional = false;                           // has a default, or may be none

  bool operator==(const ValueSpec&) const = default;
};

// One callable method of a loaded model.
struct MethodSpec {
  std::string name;
  std::vector<ValueSpec> inputs;
  std::vector<ValueSpec> outputs;
};

}  // namespace ptsecure
