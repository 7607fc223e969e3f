#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libptsecure/engine/byte_source.hpp"
#include "libptsecure/value/value.hpp"

// The header of a safetensors file: eight bytes of length, JSON, then the tensors' bytes in one
// piece. No torch here. Format: https://github.com/huggingface/safetensors (README, "Format").
namespace ptsecure::torch_plugin {

struct SafetensorsEntry {
  std::optional<DType> dtype;  // nullopt = one that a value doesn't have
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // in the file
  std::uint64_t size = 0;   // bytes
};

// Strict: a duplicate name, an entry whose size isn't that of its shape, bytes that belong to two
// tensors or to none, or a header that isn't JSON throws Error(Status::invalid_model).
std::map<std::string, SafetensorsEntry> read_safetensors(ByteSource& source);

}  // namespace ptsecure::torch_plugin
