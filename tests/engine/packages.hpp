#pragma once

#include <cmath>
#include <functional>
#include <string>

#include "tests/engine/models.hpp"
#include "tests/engine/package_folder.hpp"

// The compiled packages that make_packages.py makes, opened.
namespace ptsecure::testing {

inline std::string package_bytes(const std::string& name) {
  return read_file(package_folder() / (name + ".pt2"));
}

inline EngineLoadOptions package_options() {
  EngineLoadOptions options;
  options.format = "aotinductor";
  options.intra_op_threads = 1;
  return options;
}

inline std::unique_ptr<EngineModel> load_package(const std::string& name) {
  ByteSourceDouble source(package_bytes(name));
  return load(source, package_options());
}

inline nlohmann::json package_calls(const std::string& name) {
  return nlohmann::json::parse(read_file(package_folder() / (name + ".json")));
}

// Fills what was deferred only after `wait` has returned.
class SlowSource final : public ByteSource {
 public:
  SlowSource(std::string bytes, std::function<void()> wait)
      : source_(std::move(bytes)), wait_(std::move(wait)) {}
  std::uint64_t size() const override { return source_.size(); }
  void read(std::uint64_t pos, void* dst, std::size_t n) override { source_.read(pos, dst, n); }
  void defer(std::uint64_t pos, void* dst, std::size_t n) override { source_.defer(pos, dst, n); }
  void discard_deferred() override { source_.discard_deferred(); }
  void finish() override {
    wait_();
    source_.finish();
  }

 private:
  ByteSourceDouble source_;
  std::function<void()> wait_;
};

inline ValueVector arguments_of(const nlohmann::json& call) {
  ValueVector arguments;
  for (const auto& argument : call["arguments"]) arguments.push_back(decode(argument));
  return arguments;
}

// Empty when the same but for rounding: compiled code adds in another order than eager code does.
inline std::string far(const Value& expected, const Value& found) {
  if (expected.kind() != found.kind()) return "kind";
  if (const auto* tensor = expected.get_if<Tensor>()) {
    const auto& other = found.get<Tensor>();
    if (tensor->dtype != DType::float32 || other.dtype != DType::float32) return "dtype";
    if (!(tensor->shape == other.shape) || !other.contiguous()) return "shape or strides";
    for (std::int64_t i = 0; i < tensor->numel(); ++i) {
      const float a = static_cast<const float*>(tensor->data)[i];
      const float b = static_cast<const float*>(other.data)[i];
      if (!(std::abs(a - b) <= 1e-5F * (1.0F + std::abs(a)))) return "element " + std::to_string(i);
    }
    return "";
  }
  if (const auto* dict = expected.get_if<Dict>()) {
    const auto& other = found.get<Dict>();
    if (dict->items.size() != other.items.size()) return "size";
    for (std::size_t i = 0; i < dict->items.size(); ++i) {
      if (dict->items[i].first != other.items[i].first) return "key " + dict->items[i].first;
      const auto inner = far(dict->items[i].second, other.items[i].second);
      if (!inner.empty()) return dict->items[i].first + ": " + inner;
    }
    return "";
  }
  const auto a = expected.items();
  const auto b = found.items();
  if (a.size() != b.size()) return "size";
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (const auto inner = far(a[i], b[i]); !inner.empty()) return std::to_string(i) + ": " + inner;
  }
  return "";
}

inline void expect_close(EngineModel& model, const nlohmann::json& calls,
                         const std::string& method = "forward") {
  for (const auto& call : calls) {
    EXPECT_EQ(far(decode(call["result"]), model.infer(method, arguments_of(call))), "");
  }
}

}  // namespace ptsecure::testing
