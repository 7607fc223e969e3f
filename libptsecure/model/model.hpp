#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/cancel.hpp"
#include "libptsecure/engine/byte_source.hpp"
#include "libptsecure/engine/engine.hpp"
#include "libptsecure/package/manifest.hpp"
#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/value/validate.hpp"
#include "libptsecure/value/value.hpp"

namespace ptsecure {

// What one request was and what it took.
struct InferInfo {
  std::uint64_t batch = 1;  // leading extent of the first input that leaves it free
  std::chrono::nanoseconds decode{};
  std::chrono::nanoseconds run{};
  std::chrono::nanoseconds encode{};
};

// A model ready to run. Thread-safe as EngineModel is.
class LoadedModel {
 public:
  LoadedModel(std::shared_ptr<const Manifest> manifest, std::shared_ptr<EngineModel> engine);

  const Manifest& manifest() const { return *manifest_; }
  const ModelDescription& description() const { return engine_->model->description(); }
  // V2 model metadata with "stateful", "weight_bytes" and "methods".
  const std::string& metadata_json() const { return metadata_json_; }
  // The inputs and outputs of a method: the manifest's for forward, the engine's own otherwise.
  // Throws Status::not_found listing the methods.
  const MethodSpec& method(std::string_view name) const;

  // Inputs, positional ones first, are bound and checked against the method before the engine sees
  // them. Empty method = forward. `cancel` is looked at until the engine begins to run, also while
  // a stateful model's turn is waited for.
  Value infer(std::string_view method, std::span<const Value> inputs,
              std::span<const NamedValue> named = {}, const CancelToken& cancel = {}) const;
  std::string infer_json(std::string_view method, std::string_view request,
                         const CancelToken& cancel = {}) const;
  // A V2 request with the binary tensor extension; `owner` as for parse_v2_request().
  V2Response infer_v2(std::string_view method, std::string_view json, ByteView binary,
                      std::shared_ptr<TensorOwner> owner, InferInfo& info,
                      const CancelToken& cancel = {}) const;
  // A KServe V1 request.
  std::string infer_v1(std::string_view method, std::string_view json, InferInfo& info,
                       const CancelToken& cancel = {}) const;
  // The V2 JSON response for what infer() returned.
  std::string result_json(std::string_view method, const Value& result) const;
  std::string example_json() const;
  std::shared_ptr<LoadedModel> fork(const CancelToken& cancel = {}) const;
  // Runs on zeros; the shapes of all inputs must be known, free extents count 1.
  void warm_up(int runs) const;
  // The model as the version of `manifest`, once the engine has put the weights that `source` reads
  // under its program: this handle answers with them too. `package`: `source` is a whole package.
  std::shared_ptr<LoadedModel> with_weights(ByteSource& source, bool package,
                                            std::shared_ptr<const Manifest> manifest) const;

 private:
  // What versions that were swapped into one another share: the engine's model, and whose turn it
  // is to run a stateful one. The engine would let them wait without end; who waits here can give
  // up.
  struct Shared {
    std::shared_ptr<EngineModel> model;
    std::timed_mutex turn;

    // Holds nothing for a stateless model.
    std::unique_lock<std::timed_mutex> take_turn(const CancelToken& cancel);
  };

  LoadedModel(std::shared_ptr<const Manifest> manifest, std::shared_ptr<Shared> engine);
  Value run(const std::string& method, std::span<const Value> arguments,
            const CancelToken& cancel) const;

  std::shared_ptr<const Manifest> manifest_;
  std::shared_ptr<Shared> engine_;
  std::vector<MethodSpec> methods_;
  std::string metadata_json_;
};

}  // namespace ptsecure
