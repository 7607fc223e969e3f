#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libptsecure/engine/byte_source.hpp"
#include "libptsecure/engine/torch/files/archive.hpp"

// What an AOTInductor package (.pt2) is made of, read from its directory and small records. No
// torch here, and nothing of it is run.
namespace ptsecure::torch_plugin {

// A weight that the package keeps in a record of its own, as torch.save wrote the tensor.
struct PickledWeight {
  std::string record;  // "data/weights/weight_0"
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::int64_t offset = 0;
};

// One compiled model of a package.
struct CompiledModel {
  std::string name;                              // its folder under data/aotinductor
  const Record* library = nullptr;               // the compiled .so
  const Record* blob = nullptr;                  // its weights in one piece; null = elsewhere
  std::map<std::string, PickledWeight> pickled;  // or one by one, by their names in the model
  std::map<std::string, std::string>
      metadata;              // AOTI_DEVICE_KEY, AOTI_MACHINE, ..., the user's own
  std::string source;        // the generated C++ of the wrapper; empty when it isn't there
  std::string extern_nodes;  // JSON of the operators called through a proxy; empty = none
};

class Pt2Package {
 public:
  // Keeps a pointer into `archive`. Throws Error(Status::invalid_model) saying which record is
  // missing or wrong.
  Pt2Package(const Archive& archive, ByteSource& source);

  // By name; never empty.
  const std::vector<CompiledModel>& models() const { return models_; }

 private:
  std::vector<CompiledModel> models_;
};

}  // namespace ptsecure::torch_plugin
