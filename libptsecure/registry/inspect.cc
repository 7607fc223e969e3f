#include "libptsecure/registry/inspect.hpp"

#include <cstring>

#include "libptsecure/engine/loader.hpp"
#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/value/tensor.hpp"

namespace ptsecure {
namespace {

const MethodSpec& forward_of(const ModelDescription& description) {
  for (const MethodSpec& method : description.methods) {
    if (method.name == "forward") return method;
  }
  throw Error(
      Status::invalid_model,
      "the model has no forward method; script or trace a module that has one, or in a package "
      "of several compiled models call one of them model");
}

// The sample twice over along the leading dimension, left as it is where that is known not to be
// free; nullopt when the inputs have no leading dimension in common.
std::optional<std::vector<Value>> doubled(const std::vector<Value>& sample,
                                          const std::vector<ValueSpec>& known) {
  std::optional<std::int64_t> batch;
  std::vector<Value> out;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const Value& value = sample[i];
    const Tensor* tensor = value.get_if<Tensor>();
    const bool fixed = known[i].shape && (known[i].shape->empty() || known[i].shape->front() >= 0);
    if (!tensor || tensor->shape.empty() || fixed) {
      out.push_back(value);
      continue;
    }
    if (batch.value_or(tensor->shape[0]) != tensor->shape[0] || tensor->shape[0] == 0)
      return std::nullopt;
    batch = tensor->shape[0];
    const Tensor once = copy_contiguous(*tensor);
    Dims shape = once.shape;
    shape[0] *= 2;
    Tensor twice = make_tensor(once.dtype, shape);
    const std::size_t size = once.nbytes();
    std::memcpy(twice.data, once.data, size);
    std::memcpy(static_cast<char*>(twice.data) + size, once.data, size);
    out.emplace_back(std::move(twice));
  }
  if (!batch) return std::nullopt;
  return out;
}

std::vector<ValueSpec> output_specs(const Value& result, const std::vector<ValueSpec>& declared) {
  std::vector<ValueSpec> specs;
  for (const auto& [name, value] : v2_flatten(result, declared)) {
    ValueSpec spec{.name = name, .kind = value.kind(), .dtype = {}, .shape = {}};
    if (const Tensor* tensor = value.get_if<Tensor>()) {
      spec.dtype = tensor->dtype;
      spec.shape.emplace(tensor->shape.begin(), tensor->shape.end());
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

// Whether `twice`, the outputs for the doubled sample, are `once` with leading dimensions doubled;
// marks those dimensions free.
bool mark_free(std::vector<ValueSpec>& once, const std::vector<ValueSpec>& twice) {
  if (once.size() != twice.size()) return false;
  std::vector<ValueSpec> marked = once;
  bool any = false;
  for (std::size_t i = 0; i < once.size(); ++i) {
    if (once[i] == twice[i]) continue;
    if (!once[i].shape || !twice[i].shape || once[i].shape->empty()) return false;
    ValueSpec& expected = marked[i];
    expected.shape->front() *= 2;
    if (!(expected == twice[i])) return false;
    expected.shape->front() = -1;
    any = true;
  }
  if (any) once = std::move(marked);
  return any;
}

void free_leading_dimensions(const EngineModel& model, const std::vector<Value>& sample,
                             const std::vector<ValueSpec>& known, Manifest& manifest) {
  const auto twice = doubled(sample, known);
  if (!twice) return;
  std::vector<ValueSpec> outputs;
  try {
    outputs = output_specs(model.fork()->infer("forward", *twice), manifest.outputs);
  } catch (const Error&) {
    return;  // the model takes this batch size only
  }
  if (!mark_free(manifest.outputs, outputs)) return;
  for (std::size_t i = 0; i < manifest.inputs.size(); ++i) {
    ValueSpec& input = manifest.inputs[i];
    if (!known[i].shape && input.shape && !input.shape->empty()) input.shape->front() = -1;
  }
}

std::vector<Value> bind_sample(const PublishOptions& options,
                               const std::vector<ValueSpec>& inputs) {
  if (options.sample_json.empty()) return bind_inputs(inputs, options.sample);
  return bind_inputs(inputs, options.sample, parse_v2_request(options.sample_json, inputs).inputs);
}

void describe_by_running(const EngineModel& model, const PublishOptions& options,
                         Manifest& manifest) {
  const std::vector<Value> sample = bind_sample(options, manifest.inputs);
  const Value result = model.fork()->infer("forward", sample);
  const std::vector<ValueSpec> known = manifest.inputs;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    if (!sample[i].is(ValueKind::none)) manifest.inputs[i].kind = sample[i].kind();
    if (const Tensor* tensor = sample[i].get_if<Tensor>()) {
      manifest.inputs[i].dtype = tensor->dtype;
      if (known[i].shape) continue;
      manifest.inputs[i].shape.emplace(tensor->shape.begin(), tensor->shape.end());
    }
  }
  manifest.outputs = output_specs(result, manifest.outputs);
  free_leading_dimensions(model, sample, known, manifest);
}

}  // namespace

void inspect_model(ByteSource& source, ByteSource* weights, const PublishOptions& options,
                   Manifest& manifest) {
  Engine& engine = torch_engine(options.torch_dir);
  const bool run = !options.sample.empty() || !options.sample_json.empty();
  if (manifest.format.empty()) manifest.format = engine.detect_format(source);
  EngineLoadOptions load;
  load.format = manifest.format;
  load.inspect_only = !run;
  load.weights = weights;
  const std::unique_ptr<EngineModel> model = engine.load(source, load);
  const MethodSpec& forward = forward_of(model->description());
  manifest.engine = engine.version();
  manifest.inputs = forward.inputs;
  manifest.outputs = forward.outputs;
  manifest.stateful = model->description().stateful;
  if (run) describe_by_running(*model, options, manifest);
}

}  // namespace ptsecure
