#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capi/calls.hpp"
#include "capi/guard.hpp"
#include "capi/options.hpp"
#include "libptsecure/value/raw_tensor.hpp"

using namespace ptsecure::capi;
using ptsecure::CancelToken;
using ptsecure::Error;
using ptsecure::LoadedModel;
using ptsecure::NamedValue;
using ptsecure::OpenOptions;
using ptsecure::Status;
using ptsecure::Value;

namespace {

constexpr std::size_t kFirstInferOptions = 24;
constexpr std::size_t kFewInputs = 8;
static_assert(sizeof(pts_infer_options) >= kFirstInferOptions);

pts_infer_options infer_options(const pts_infer_options* given) {
  return known_part(given, pts_infer_options PTS_INFER_OPTIONS_INIT, kFirstInferOptions,
                    "pts_infer_options");
}

// The model, unless this process is a fork of the one that loaded it: the engine's threads stayed
// there, and waiting for them would never end.
const LoadedModel& model_of(const pts_model* self) {
  const pts_model& handle = need(self, "self");
  if (handle.forks != forks()) {
    throw Error(Status::closed, "this model was opened before a fork; open it again in the child");
  }
  return *handle.model;
}

pts_model* new_model(std::shared_ptr<LoadedModel> model) {
  return new pts_model{std::move(model), forks()};
}

pts_model* finished(std::shared_ptr<LoadedModel> model, Call& call) {
  call.finish();
  return new_model(std::move(model));
}

const Value& input(const pts_value* const* inputs, std::size_t i) {
  return *unwrap(&need(inputs[i], "an input"));
}

bool has_names(const char* const* names, std::size_t count) {
  if (names == nullptr) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i] != nullptr) return true;
  }
  return false;
}

Value infer_named(const LoadedModel& model, const char* method, const pts_value* const* inputs,
                  const char* const* names, std::size_t count, const CancelToken& cancel) {
  std::vector<Value> positional;
  std::vector<NamedValue> named;
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i] != nullptr) {
      named.emplace_back(names[i], input(inputs, i));
    } else if (named.empty()) {
      positional.push_back(input(inputs, i));
    } else {
      throw Error(Status::invalid_argument,
                  "input_names: positional inputs come before named ones");
    }
  }
  return model.infer(method, positional, named, cancel);
}

Value infer(const LoadedModel& model, const char* method, const pts_value* const* inputs,
            std::size_t count, const CancelToken& cancel) {
  if (count == 1) return model.infer(method, std::span(&input(inputs, 0), 1), {}, cancel);
  if (count <= kFewInputs) {
    std::array<Value, kFewInputs> copies;
    for (std::size_t i = 0; i < count; ++i) copies[i] = input(inputs, i);
    return model.infer(method, std::span<const Value>(copies.data(), count), {}, cancel);
  }
  std::vector<Value> copies;
  copies.reserve(count);
  for (std::size_t i = 0; i < count; ++i) copies.push_back(input(inputs, i));
  return model.infer(method, copies, {}, cancel);
}

constexpr std::size_t kFirstInferInfo = 48;

// Writes what the caller's struct has room for.
void fill_info(pts_infer_info* out, const ptsecure::InferInfo& info, std::size_t json_size) {
  if (out == nullptr) return;
  const auto count = [](std::chrono::nanoseconds time) {
    return static_cast<std::uint64_t>(time.count());
  };
  const std::size_t room = std::min(out->struct_size, sizeof(pts_infer_info));
  const pts_infer_info known{out->struct_size,   json_size,       info.batch,
                             count(info.decode), count(info.run), count(info.encode)};
  std::memcpy(out, &known, room);
}

void check_info(const pts_infer_info* info) {
  if (info == nullptr) return;
  known_part(info, pts_infer_info PTS_INFER_INFO_INIT, kFirstInferInfo, "pts_infer_info");
}

// The caller's body, given back when no tensor lies in it any more.
class BorrowedBody : public ptsecure::TensorOwner {
 public:
  BorrowedBody(pts_release_fn release, void* user) noexcept : release_(release), user_(user) {}
  BorrowedBody(const BorrowedBody&) = delete;
  BorrowedBody& operator=(const BorrowedBody&) = delete;
  ~BorrowedBody() override { release_(user_); }

 private:
  pts_release_fn release_;
  void* user_;
};

pts_bytes* join(const ptsecure::V2Response& response) {
  auto bytes = std::make_unique<pts_bytes>(response.json.size() + response.binary.size());
  const ptsecure::ByteSpan to = bytes->span();
  std::copy(response.json.begin(), response.json.end(), to.begin());
  std::copy(response.binary.begin(), response.binary.end(),
            to.begin() + static_cast<std::ptrdiff_t>(response.json.size()));
  return bytes.release();
}

const char* method_name(const pts_infer_options& options) {
  return options.method == nullptr ? "forward" : options.method;
}

}  // namespace

pts_status pts_package_load(pts_package* self, const pts_open_options* options,
                            const pts_call* call, pts_model** out, pts_error* error) {
  return create(out, error, [&] {
    const pts_package& package = need(self, "self");
    Call known(call);
    return finished(package.package->load(open_options(options, known)), known);
  });
}

pts_status pts_package_swap(pts_package* self, const pts_model* running,
                            const pts_open_options* options, const pts_call* call, pts_model** out,
                            pts_error* error) {
  return create(out, error, [&] {
    const pts_package& package = need(self, "self");
    const LoadedModel& model = model_of(running);
    Call known(call);
    return finished(package.package->swap_into(model, open_options(options, known)), known);
  });
}

pts_status pts_model_open(pts_store* store, const char* reference, const pts_keyring* keys,
                          const pts_open_options* options, const pts_call* call, pts_model** out,
                          pts_error* error) {
  return create(out, error, [&] {
    const ptsecure::Registry& registry = need(store, "store").registry;
    const ptsecure::Keyring& ring = need(keys, "keys").ring;
    Call known(call);
    const OpenOptions opening = open_options(options, known);
    return finished(registry.open(need_text(reference, "reference"), ring, opening), known);
  });
}

const char* pts_model_name(const pts_model* self) {
  return self == nullptr ? nullptr : self->model->manifest().name.c_str();
}

uint64_t pts_model_version(const pts_model* self) {
  return self == nullptr ? 0 : self->model->manifest().version;
}

const char* pts_model_metadata(const pts_model* self) {
  return self == nullptr ? nullptr : self->model->metadata_json().c_str();
}

pts_status pts_model_example(const pts_model* self, char** out, pts_error* error) {
  return create(out, error, [&] { return new_text(need(self, "self").model->example_json()); });
}

void pts_infer_options_init(pts_infer_options* options) {
  if (options != nullptr) *options = pts_infer_options PTS_INFER_OPTIONS_INIT;
}

pts_status pts_model_infer(const pts_model* self, const pts_value* const* inputs,
                           size_t input_count, const pts_infer_options* options,
                           const pts_call* call, pts_value** out, pts_error* error) {
  return create(out, error, [&] {
    const LoadedModel& model = model_of(self);
    if (input_count != 0) need(inputs, "inputs");
    const pts_infer_options known = infer_options(options);
    const char* method = method_name(known);
    const CancelToken cancel = token_of(call);
    return give(has_names(known.input_names, input_count)
                    ? infer_named(model, method, inputs, known.input_names, input_count, cancel)
                    : infer(model, method, inputs, input_count, cancel));
  });
}

pts_status pts_model_infer_json(const pts_model* self, const char* request, size_t size,
                                const pts_infer_options* options, const pts_call* call, char** out,
                                pts_error* error) {
  return create(out, error, [&] {
    const LoadedModel& model = model_of(self);
    const pts_infer_options known = infer_options(options);
    return new_text(model.infer_json(method_name(known), {need_text(request, "request"), size},
                                     token_of(call)));
  });
}

size_t pts_infer_alignment(void) {
  return ptsecure::kRawAlignment;
}

void pts_infer_info_init(pts_infer_info* info) {
  if (info != nullptr) *info = pts_infer_info PTS_INFER_INFO_INIT;
}

pts_status pts_model_infer_v2(const pts_model* self, void* body, size_t size, size_t json_size,
                              const pts_infer_options* options, const pts_call* call,
                              pts_bytes** out, pts_infer_info* info, pts_release_fn release,
                              void* user, pts_error* error) {
  // Made outside the guard: whatever happens, the caller hears of the end of the loan.
  std::shared_ptr<BorrowedBody> owner;
  if (release != nullptr) {
    const pts_status status =
        guard(error, [&] { owner = std::make_shared<BorrowedBody>(release, user); });
    if (status != PTS_OK) {
      if (out != nullptr) *out = nullptr;
      release(user);
      return status;
    }
  }
  return create(out, error, [&] {
    const LoadedModel& model = model_of(self);
    const pts_infer_options known = infer_options(options);
    check_info(info);
    const auto* bytes = static_cast<const std::uint8_t*>(body);
    if (size != 0) need(bytes, "body");
    if (json_size > size) {
      throw Error(Status::invalid_input,
                  "the JSON of the request should take " + std::to_string(json_size) +
                      " bytes, but the whole has only " + std::to_string(size));
    }
    const ptsecure::ByteView whole(bytes, size);
    ptsecure::InferInfo measured;
    const ptsecure::V2Response response =
        model.infer_v2(method_name(known), ptsecure::as_text(whole.first(json_size)),
                       whole.subspan(json_size), std::move(owner), measured, token_of(call));
    pts_bytes* joined = join(response);
    fill_info(info, measured, response.json.size());
    return joined;
  });
}

pts_status pts_model_infer_v1(const pts_model* self, const char* request, size_t size,
                              const pts_infer_options* options, const pts_call* call, char** out,
                              pts_infer_info* info, pts_error* error) {
  return create(out, error, [&] {
    const LoadedModel& model = model_of(self);
    const pts_infer_options known = infer_options(options);
    check_info(info);
    ptsecure::InferInfo measured;
    const std::string response = model.infer_v1(
        method_name(known), {need_text(request, "request"), size}, measured, token_of(call));
    char* text = new_text(response);
    fill_info(info, measured, response.size());
    return text;
  });
}

pts_status pts_model_result_json(const pts_model* self, const pts_value* result,
                                 const pts_infer_options* options, char** out, pts_error* error) {
  return create(out, error, [&] {
    const LoadedModel& model = *need(self, "self").model;
    const pts_infer_options known = infer_options(options);
    return new_text(model.result_json(method_name(known), *unwrap(&need(result, "result"))));
  });
}

pts_status pts_model_fork(const pts_model* self, const pts_call* call, pts_model** out,
                          pts_error* error) {
  return create(out, error, [&] { return new_model(model_of(self).fork(token_of(call))); });
}

void pts_model_destroy(pts_model** self) {
  destroy(self);
}
