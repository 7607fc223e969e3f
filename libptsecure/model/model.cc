#include "libptsecure/model/model.hpp"

#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "libptsecure/base/text.hpp"
#include "libptsecure/protocol/v1_json.hpp"
#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/value/json_spec.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

constexpr std::string_view kForward = "forward";

std::string metadata(const Manifest& manifest, const ModelDescription& description,
                     const std::vector<MethodSpec>& methods) {
  auto out = nlohmann::ordered_json::parse(
      v2_metadata_json(manifest.name, {std::to_string(manifest.version)},
                       "pytorch_" + manifest.format, manifest.inputs, manifest.outputs));
  out["stateful"] = description.stateful;
  out["weight_bytes"] = description.weight_bytes;
  auto& names = out["methods"] = nlohmann::ordered_json::array();
  for (const MethodSpec& method : methods) names.push_back(method.name);
  return out.dump();
}

Value zeros(const ValueSpec& spec) {
  if (spec.kind != ValueKind::tensor || !spec.dtype || !spec.shape) {
    throw Error(Status::invalid_argument,
                "warm-up needs the datatype and shape of every input, and those of '" + spec.name +
                    "' are not known; publish the model with a sample");
  }
  std::vector<std::int64_t> shape = *spec.shape;
  for (std::int64_t& extent : shape) extent = extent < 0 ? 1 : extent;
  Tensor tensor = make_tensor(*spec.dtype, Dims(shape));
  if (const std::size_t size = tensor.nbytes(); size != 0) std::memset(tensor.data, 0, size);
  return tensor;
}

// Nanoseconds since the last call, or since this was made.
class Lap {
 public:
  std::chrono::nanoseconds operator()() {
    const auto now = std::chrono::steady_clock::now();
    return now - std::exchange(last_, now);
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// The leading extent of the first input of which the signature leaves it free.
std::uint64_t batch_of(const std::vector<ValueSpec>& specs, const std::vector<NamedValue>& inputs) {
  for (const ValueSpec& spec : specs) {
    if (!spec.shape || spec.shape->empty() || spec.shape->front() >= 0) continue;
    for (const auto& [name, value] : inputs) {
      const auto* tensor = value.get_if<Tensor>();
      if (name == spec.name && tensor != nullptr && !tensor->shape.empty()) {
        return static_cast<std::uint64_t>(tensor->shape[0]);
      }
    }
  }
  return 1;
}

}  // namespace

Device parse_device(std::string_view text) {
  if (text.empty() || text == "cpu") return {};
  if (text == "cuda") return {DeviceType::cuda, 0};
  constexpr std::string_view kCuda = "cuda:";
  std::int32_t index = -1;
  if (text.starts_with(kCuda)) {
    const auto [end, error] =
        std::from_chars(text.data() + kCuda.size(), text.data() + text.size(), index);
    if (error != std::errc{} || end != text.data() + text.size()) index = -1;
  }
  if (index < 0) {
    throw Error(Status::invalid_argument, "a device is \"cpu\", \"cuda\" or \"cuda:N\", not \"" +
                                              printable_name(text) + "\"");
  }
  return {DeviceType::cuda, index};
}

LoadedModel::LoadedModel(std::shared_ptr<const Manifest> manifest,
                         std::shared_ptr<EngineModel> engine)
    : LoadedModel(std::move(manifest), std::make_shared<Shared>(std::move(engine))) {}

LoadedModel::LoadedModel(std::shared_ptr<const Manifest> manifest, std::shared_ptr<Shared> engine)
    : manifest_(std::move(manifest)), engine_(std::move(engine)), methods_(description().methods) {
  for (MethodSpec& method : methods_) {
    if (method.name != kForward) continue;
    method.inputs = manifest_->inputs;
    method.outputs = manifest_->outputs;
  }
  metadata_json_ = metadata(*manifest_, description(), methods_);
}

std::unique_lock<std::timed_mutex> LoadedModel::Shared::take_turn(const CancelToken& cancel) {
  cancel.check();
  if (!model->description().stateful) return {};
  std::unique_lock lock(turn, std::defer_lock);
  if (!cancel.can_end()) {
    lock.lock();
  } else {
    while (!lock.try_lock_for(CancelToken::kLook)) cancel.check();
  }
  return lock;
}

const MethodSpec& LoadedModel::method(std::string_view name) const {
  if (name.empty()) name = kForward;
  for (const MethodSpec& method : methods_) {
    if (method.name == name) return method;
  }
  std::string known;
  for (const MethodSpec& method : methods_) known += (known.empty() ? "" : ", ") + method.name;
  throw Error(Status::not_found,
              "the model has no method '" + printable_name(name) + "'; it has: " + known);
}

Value LoadedModel::infer(std::string_view method_name, std::span<const Value> inputs,
                         std::span<const NamedValue> named, const CancelToken& cancel) const {
  const MethodSpec& spec = method(method_name);
  if (named.empty() && inputs_match(spec.inputs, inputs)) return run(spec.name, inputs, cancel);
  return run(spec.name, bind_inputs(spec.inputs, inputs, named), cancel);
}

Value LoadedModel::run(const std::string& method_name, std::span<const Value> arguments,
                       const CancelToken& cancel) const {
  const auto turn = engine_->take_turn(cancel);
  return engine_->model->infer(method_name, arguments);
}

std::string LoadedModel::infer_json(std::string_view method_name, std::string_view request,
                                    const CancelToken& cancel) const {
  const MethodSpec& spec = method(method_name);
  const V2Request parsed = parse_v2_request(request, spec.inputs);
  const Value result = infer(method_name, {}, parsed.inputs, cancel);
  return v2_response_json(manifest_->name, std::to_string(manifest_->version), parsed.id, result,
                          spec.outputs, parsed.outputs);
}

V2Response LoadedModel::infer_v2(std::string_view method_name, std::string_view json,
                                 ByteView binary, std::shared_ptr<TensorOwner> owner,
                                 InferInfo& info, const CancelToken& cancel) const {
  Lap lap;
  const MethodSpec& spec = method(method_name);
  V2Request request = parse_v2_request(json, spec.inputs, {}, binary, std::move(owner));
  info.batch = batch_of(spec.inputs, request.inputs);
  info.decode = lap();
  const Value result = infer(method_name, {}, request.inputs, cancel);
  info.run = lap();
  request.inputs.clear();
  V2Response response = v2_response(manifest_->name, std::to_string(manifest_->version), request.id,
                                    result, spec.outputs, request.outputs, request.binary_output);
  info.encode = lap();
  return response;
}

std::string LoadedModel::infer_v1(std::string_view method_name, std::string_view json,
                                  InferInfo& info, const CancelToken& cancel) const {
  Lap lap;
  const MethodSpec& spec = method(method_name);
  V1Request request = parse_v1_request(json, spec.inputs);
  info.batch = batch_of(spec.inputs, request.inputs);
  info.decode = lap();
  const Value result = infer(method_name, {}, request.inputs, cancel);
  info.run = lap();
  std::string response = v1_response(result, spec.outputs, request.rows);
  info.encode = lap();
  return response;
}

std::string LoadedModel::result_json(std::string_view method_name, const Value& result) const {
  return v2_response_json(manifest_->name, std::to_string(manifest_->version), {}, result,
                          method(method_name).outputs);
}

std::string LoadedModel::example_json() const {
  return v2_example_request(manifest_->inputs);
}

std::shared_ptr<LoadedModel> LoadedModel::fork(const CancelToken& cancel) const {
  const auto turn = engine_->take_turn(cancel);
  return std::make_shared<LoadedModel>(manifest_,
                                       std::shared_ptr<EngineModel>(engine_->model->fork()));
}

void LoadedModel::warm_up(int runs) const {
  std::vector<Value> inputs;
  for (const ValueSpec& spec : manifest_->inputs) {
    if (spec.optional) break;
    inputs.push_back(zeros(spec));
  }
  const std::unique_ptr<EngineModel> scratch =
      description().stateful ? engine_->model->fork() : nullptr;
  EngineModel& engine = scratch ? *scratch : *engine_->model;
  for (int run = 0; run < runs; ++run) engine.infer(std::string(kForward), inputs);
}

std::shared_ptr<LoadedModel> LoadedModel::with_weights(
    ByteSource& source, bool package, std::shared_ptr<const Manifest> manifest) const {
  engine_->model->replace_weights(source, package);
  return std::shared_ptr<LoadedModel>(new LoadedModel(std::move(manifest), engine_));
}

}  // namespace ptsecure
