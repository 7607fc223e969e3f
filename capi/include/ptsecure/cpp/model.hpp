// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_MODEL_HPP_
#define PTSECURE_CPP_MODEL_HPP_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ptsecure/cpp/value.hpp"

namespace pts {

enum class Verify : std::int32_t { signed_ = PTS_VERIFY_SIGNED, aead = PTS_VERIFY_AEAD };

enum class Optimize : std::int32_t {
  none = PTS_OPTIMIZE_NONE,
  freeze = PTS_OPTIMIZE_FREEZE,
  inference = PTS_OPTIMIZE_INFERENCE
};

struct OpenOptions {
  Verify verify = Verify::signed_;
  std::string device;  // empty = "cpu"
  int intra_op_threads = 0;
  int warm_up_runs = 0;
  Optimize optimize = Optimize::none;
  std::string torch_dir;
  // What a reference must come up to; see pts_open_options.
  std::string manifest;
  std::uint64_t min_sequence = 0;
  std::chrono::seconds max_age{0};  // 0 = any
};

struct InferOptions {
  std::string method;                    // empty = "forward"
  std::vector<std::string> input_names;  // empty = by position; "" = by position
};

// What one request was and what it took; see pts_infer_info.
struct InferInfo {
  std::size_t json_size = 0;
  std::uint64_t batch = 1;
  std::chrono::nanoseconds decode{};
  std::chrono::nanoseconds run{};
  std::chrono::nanoseconds encode{};
};

// Where binary inputs of Model::infer_v2 are never copied for their alignment, see
// pts_infer_alignment.
inline std::size_t infer_alignment() noexcept {
  return pts_infer_alignment();
}

namespace detail {

using LogFunction = std::function<void(std::int32_t level, std::string_view message)>;

inline pts_open_options c_options(const OpenOptions& options) {
  pts_open_options raw = PTS_OPEN_OPTIONS_INIT;
  raw.verify = static_cast<std::int32_t>(options.verify);
  raw.device = or_null(options.device);
  raw.intra_op_threads = options.intra_op_threads;
  raw.warm_up_runs = options.warm_up_runs;
  raw.optimize = static_cast<std::int32_t>(options.optimize);
  raw.torch_dir = or_null(options.torch_dir);
  raw.manifest = or_null(options.manifest);
  raw.min_sequence = options.min_sequence;
  if (options.max_age.count() < 0) {
    throw Error(PTS_INVALID_ARGUMENT, "max_age must not be negative; 0 = any age");
  }
  raw.max_age_s = static_cast<std::uint64_t>(options.max_age.count());
  return raw;
}

}  // namespace detail

class Model {
 public:
  explicit Model(pts_model* handle,
                 std::shared_ptr<const detail::LogFunction> log = nullptr) noexcept
      : log_(std::move(log)), handle_(handle) {}

  std::string name() const { return pts_model_name(get()); }
  std::uint64_t version() const noexcept { return pts_model_version(get()); }
  // JSON, see pts_model_metadata.
  std::string metadata() const { return pts_model_metadata(get()); }
  // A ready V2 request body.
  std::string example() const {
    return detail::text(
        [&](char** out, pts_error* error) { return pts_model_example(get(), out, error); });
  }

  // Runs `forward` on the inputs: model(x), model(x, y).
  template <typename... Inputs>
  Value operator()(const Inputs&... inputs) const {
    const std::array<const pts_value*, sizeof...(Inputs)> raw{inputs.get()...};
    return infer(raw.data(), raw.size(), nullptr, Call());
  }
  Value infer(const std::vector<ValueView>& inputs, const InferOptions& options = {},
              const Call& call = {}) const {
    std::vector<const pts_value*> raw;
    raw.reserve(inputs.size());
    for (const ValueView& input : inputs) raw.push_back(input.get());
    std::vector<const char*> names;
    names.reserve(options.input_names.size());
    for (const std::string& name : options.input_names) names.push_back(detail::or_null(name));
    if (!names.empty() && names.size() != raw.size()) {
      throw Error(PTS_INVALID_ARGUMENT, "input_names must be empty or have one entry per input");
    }
    pts_infer_options c_options = PTS_INFER_OPTIONS_INIT;
    c_options.method = detail::or_null(options.method);
    c_options.input_names = names.empty() ? nullptr : names.data();
    return infer(raw.data(), raw.size(), &c_options, call);
  }
  // V2 JSON in and out.
  std::string infer_json(std::string_view request, const std::string& method = {},
                         const Call& call = {}) const {
    pts_infer_options options = PTS_INFER_OPTIONS_INIT;
    options.method = detail::or_null(method);
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_model_infer_json(get(), request.data(), request.size(), &options, raw, out, error);
    });
  }
  // A V2 request with the binary tensor extension, see pts_model_infer_v2. With an `owner` binary
  // inputs may lie in `body` itself, which the owner keeps alive.
  Bytes infer_v2(void* body, std::size_t size, std::size_t json_size,
                 std::shared_ptr<const void> owner = nullptr, InferInfo* info = nullptr,
                 const std::string& method = {}, const Call& call = {}) const {
    pts_infer_options options = PTS_INFER_OPTIONS_INIT;
    options.method = detail::or_null(method);
    pts_infer_info raw = PTS_INFER_INFO_INIT;
    auto loan = owner ? std::make_unique<BodyOwner>(std::move(owner)) : nullptr;
    const pts_release_fn release = loan ? &give_back : nullptr;
    Bytes response = detail::make<Bytes, pts_bytes>(
        call, [&](const pts_call* c, pts_bytes** out, pts_error* error) {
          return pts_model_infer_v2(get(), body, size, json_size, &options, c, out, &raw, release,
                                    loan.release(), error);
        });
    if (info != nullptr) *info = info_of(raw);
    return response;
  }
  // A KServe V1 request, see pts_model_infer_v1.
  std::string infer_v1(std::string_view request, InferInfo* info = nullptr,
                       const std::string& method = {}, const Call& call = {}) const {
    pts_infer_options options = PTS_INFER_OPTIONS_INIT;
    options.method = detail::or_null(method);
    pts_infer_info raw = PTS_INFER_INFO_INIT;
    // A view of nothing has no data, which isn't what NULL means there.
    const char* data = request.empty() ? "" : request.data();
    std::string response = detail::text(call, [&](const pts_call* c, char** out, pts_error* error) {
      return pts_model_infer_v1(get(), data, request.size(), &options, c, out, &raw, error);
    });
    if (info != nullptr) *info = info_of(raw);
    return response;
  }
  // What infer() returned, as the V2 JSON response that infer_json would give.
  std::string result_json(ValueView result, const std::string& method = {}) const {
    pts_infer_options options = PTS_INFER_OPTIONS_INIT;
    options.method = detail::or_null(method);
    return detail::text([&](char** out, pts_error* error) {
      return pts_model_result_json(get(), result.get(), &options, out, error);
    });
  }
  // Shares the weights, owns its state.
  Model fork(const Call& call = {}) const {
    pts_model* out = nullptr;
    detail::run(call, [&](const pts_call* raw, pts_error* error) {
      return pts_model_fork(get(), raw, &out, error);
    });
    return Model(out, log_);
  }
  pts_model* get() const noexcept { return handle_.get(); }

 private:
  using BodyOwner = std::shared_ptr<const void>;
  static InferInfo info_of(const pts_infer_info& raw) {
    const auto time = [](std::uint64_t ns) {
      return std::chrono::nanoseconds(static_cast<std::int64_t>(ns));
    };
    return {raw.json_size, raw.batch, time(raw.decode_ns), time(raw.run_ns), time(raw.encode_ns)};
  }
  static void give_back(void* user) { delete static_cast<BodyOwner*>(user); }

  Value infer(const pts_value* const* inputs, std::size_t count, const pts_infer_options* options,
              const Call& call) const {
    return detail::make<Value, pts_value>(
        call, [&](const pts_call* raw, pts_value** out, pts_error* error) {
          return pts_model_infer(get(), inputs, count, options, raw, out, error);
        });
  }

  std::shared_ptr<const detail::LogFunction> log_;  // outlives the handle
  detail::Handle<pts_model, pts_model_destroy> handle_;
};

class Package {
 public:
  explicit Package(pts_package* handle,
                   std::shared_ptr<const detail::LogFunction> log = nullptr) noexcept
      : log_(std::move(log)), handle_(handle) {}

  std::string name() const { return pts_package_name(get()); }
  std::uint64_t version() const noexcept { return pts_package_version(get()); }
  std::uint64_t size() const noexcept { return pts_package_size(get()); }
  // JSON, exactly as signed.
  std::string manifest() const { return pts_package_manifest(get()); }
  // A ready V2 request body.
  std::string example() const {
    return detail::text(
        [&](char** out, pts_error* error) { return pts_package_example(get(), out, error); });
  }

  Bytes decrypt(const OpenOptions& options = {}, const Call& call = {}) const {
    const pts_open_options raw = detail::c_options(options);
    return detail::make<Bytes, pts_bytes>(
        call, [&](const pts_call* c, pts_bytes** out, pts_error* error) {
          return pts_package_decrypt(get(), &raw, c, out, error);
        });
  }
  // The plaintext in order; each segment was authenticated, but only a normal return says that all
  // came.
  void stream(const std::function<void(const void* data, std::size_t size)>& sink,
              const OpenOptions& options = {}, const Call& call = {}) const {
    const pts_open_options raw = detail::c_options(options);
    detail::RawCall known(call);
    Sink receiver{sink, known};
    detail::run(known, [&](const pts_call* c, pts_error* error) {
      return pts_package_stream(get(), &raw, c, &Sink::on_bytes, &receiver, error);
    });
  }
  void export_to(const std::string& folder, const OpenOptions& options = {},
                 const Call& call = {}) const {
    const pts_open_options raw = detail::c_options(options);
    detail::run(call, [&](const pts_call* c, pts_error* error) {
      return pts_package_export(get(), folder.c_str(), &raw, c, error);
    });
  }
  Model load(const OpenOptions& options = {}, const Call& call = {}) const {
    const pts_open_options raw = detail::c_options(options);
    pts_model* out = nullptr;
    detail::run(call, [&](const pts_call* c, pts_error* error) {
      return pts_package_load(get(), &raw, c, &out, error);
    });
    return Model(out, log_);
  }
  // Puts this version's weights under the program of a model that is open (see pts_package_swap).
  Model swap(const Model& running, const OpenOptions& options = {}, const Call& call = {}) const {
    const pts_open_options raw = detail::c_options(options);
    pts_model* out = nullptr;
    detail::run(call, [&](const pts_call* c, pts_error* error) {
      return pts_package_swap(get(), running.get(), &raw, c, &out, error);
    });
    return Model(out, log_);
  }
  pts_package* get() const noexcept { return handle_.get(); }

 private:
  struct Sink {
    const std::function<void(const void*, std::size_t)>& function;
    detail::Carrier& carrier;

    static std::int32_t on_bytes(void* user, const void* data, std::size_t size) {
      const auto& self = *static_cast<const Sink*>(user);
      return self.carrier.guard([&] { self.function(data, size); });
    }
  };

  std::shared_ptr<const detail::LogFunction> log_;
  detail::Handle<pts_package, pts_package_destroy> handle_;
};

}  // namespace pts

#endif  // PTSECURE_CPP_MODEL_HPP_
