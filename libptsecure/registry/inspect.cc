#include "libptsecure/registry/inspect.hpp"

#include <cstring>

#include "libptsecure/engine/loader.hpp"
#include "libptsecure/value/tensor.hpp"
#include "libptsecure/value/v2_json.hpp"

namespace ptsecure {
namespace {

const MethodSpec& forward_of(const ModelDescription& description) {
  for (const MethodSpec& method : description.methods) {
    if (method.name == "forward") return method;
  }
  throw Error(Status::invalid_model,
              "the model has no forward method; script or trace a module that has one");
}

// The sample twice over along the leading dimension; nullopt when the inputs have no leading
// dimension in common.
std::optional<std::vector<Value>> doubled(const std::vector<Value>& sample) {
  std::optional<std::int64_t> batch;
  std::vector<Value> out;
  for (const Value& value : sample) {
    const Tensor* tensor = value.get_if<Tensor>();
    if (!tensor || tensor->shape.empty()) {
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
    ValueSpec expected = once[i];
    expected.shape->front() *= 2;
    if (!(expected == twice[i])) return false;
    marked[i].shape->front() = -1;
    any = true;
  }
  if (any) once = std::move(marked);
  return any;
}

void free_leading_dimensions(const EngineModel& model, const std::vector<Value>& sample,
                             Manifest& manifest) {
  const auto twice = doubled(sample);
  if (!twice) return;
  std::vector<ValueSpec> outputs;
  try {
    outputs = output_specs(model.fork()->infer("forward", *twice), manifest.outputs);
  } catch (const Error&) {
    return;  // the model takes this batch size only
  }
  if (!mark_free(manifest.outputs, outputs)) return;
  for (ValueSpec& input : manifest.inputs) {
    if (input.shape && !input.shape->empty()) input.shape->front() = -1;
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
  for (std::size_t i = 0; i < sample.size(); ++i) {
    if (!sample[i].is(ValueKind::none)) manifest.inputs[i].kind = sample[i].kind();
    if (const Tensor* tensor = sample[i].get_if<Tensor>()) {
      manifest.inputs[i].dtype = tensor->dtype;
      manifest.inputs[i].shape.emplace(tensor->shape.begin(), tensor->shape.end());
    }
  }
  manifest.outputs = output_specs(result, manifest.outputs);
  free_leading_dimensions(model, sample, manifest);
}

}  // namespace

void inspect_model(PlainInput& input, const PublishOptions& options, ThreadPool& pool,
                   Manifest& manifest) {
  Engine& engine = torch_engine(options.torch_dir);
  const bool run = !options.sample.empty() || !options.sample_json.empty();
  const std::unique_ptr<ByteSource> source = plain_source(input, pool);
  EngineLoadOptions load;
  load.format = manifest.format;
  load.inspect_only = !run;
  const std::unique_ptr<EngineModel> model = engine.load(*source, load);
  const MethodSpec& forward = forward_of(model->description());
  manifest.engine = engine.version();
  manifest.inputs = forward.inputs;
  manifest.outputs = forward.outputs;
  manifest.stateful = model->description().stateful;
  if (run) describe_by_running(*model, options, manifest);
}

}  // namespace ptsecure
