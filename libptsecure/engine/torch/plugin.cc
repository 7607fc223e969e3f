#include <ATen/Context.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "libptsecure/engine/engine.hpp"
#include "libptsecure/engine/torch/aotinductor.hpp"
#include "libptsecure/engine/torch/archive.hpp"
#include "libptsecure/engine/torch/torchscript.hpp"

#ifndef PTSECURE_BUILD_ID
#define PTSECURE_BUILD_ID "unknown"
#endif

namespace ptsecure::torch_plugin {
namespace {

std::string libtorch_version() {
  const std::string config = at::show_config();
  constexpr std::string_view kMark = "TORCH_VERSION=";
  const auto begin = config.find(kMark);
  if (begin == std::string::npos) return "unknown";
  const auto end = config.find_first_of(", \n", begin);
  return config.substr(begin + kMark.size(), end - begin - kMark.size());
}

bool same_minor(std::string_view a, std::string_view b) {
  return a.substr(0, a.rfind('.')) == b.substr(0, b.rfind('.'));
}

// Beside the libtorch in use.
std::string cuda_library() {
  Dl_info info{};
  const auto address = reinterpret_cast<const void*>(&at::show_config);
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "libtorch_cuda.so";
  const std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + "libtorch_cuda.so";
}

class TorchEngine final : public Engine {
 public:
  std::string version() const override { return "libtorch " + libtorch_version(); }
  std::vector<std::string> formats() const override { return {"torchscript", "aotinductor"}; }

  std::string detect_format(ByteSource& source) override {
    return torch_plugin::detect_format(source);
  }

  bool device_available(Device device) const override {
    if (device.type == DeviceType::cpu) return device.index == 0;
    return why_no_cuda(device).empty();
  }

  void prepare(const std::string& format) override {
    if (format == "torchscript") prepare_torchscript();
  }

  std::unique_ptr<EngineModel> load(ByteSource& source, const EngineLoadOptions& options) override {
    if (options.format != "torchscript" && options.format != "aotinductor") {
      throw Error(Status::unsupported, "the torch engine does not load the format \"" +
                                           options.format + "\", only torchscript and aotinductor");
    }
    if (!options.inspect_only) require_device(options.device);
    if (options.format == "torchscript") return load_torchscript(source, options);
    return load_aotinductor(source, options, libtorch_version());
  }

 private:
  static void require_device(Device device) {
    if (device.type == DeviceType::cpu) return;
    if (const std::string reason = why_no_cuda(device); !reason.empty()) {
      throw Error(Status::unsupported, "the device cuda:" + std::to_string(device.index) +
                                           " cannot be used: " + reason + "; use the device cpu");
    }
  }

  // Empty when the device is there. Opens libtorch_cuda on the first question about a GPU; libtorch
  // asks for its CUDA part once in a process, so this comes before any use of it.
  static std::string why_no_cuda(Device device) {
    if (device.type != DeviceType::cuda || device.index < 0 || device.index > 127) {
      return "there is no such device";
    }
    const std::string library = cuda_library();
    if (dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
      const char* reason = dlerror();
      return "libtorch has no working CUDA part (" +
             std::string(reason != nullptr ? reason : library) + ")";
    }
    try {
      if (!at::globalContext().hasCUDA()) return "there is no NVIDIA GPU or driver";
      const auto count = at::detail::getCUDAHooks().deviceCount();
      if (device.index < count) return {};
      return "there are only " + std::to_string(static_cast<int>(count)) + " GPUs";
    } catch (const std::exception&) {
      return "there is no NVIDIA GPU or driver";
    }
  }
};

Engine* start(std::string_view build_id, const char** error) {
  if (build_id != PTSECURE_BUILD_ID) {
    static const std::string text = "it is of the build " PTSECURE_BUILD_ID
                                    ", the ptsecure library of the build " +
                                    std::string(build_id) + "; reinstall both together";
    *error = text.c_str();
    return nullptr;
  }
  if (const std::string found = libtorch_version(); !same_minor(found, TORCH_VERSION)) {
    static const std::string text =
        "it was built with libtorch " TORCH_VERSION " but found " + found;
    *error = text.c_str();
    return nullptr;
  }
  static TorchEngine engine;
  return &engine;
}

}  // namespace
}  // namespace ptsecure::torch_plugin

extern "C" __attribute__((visibility("default"))) ptsecure::Engine* ptsecure_engine_plugin(
    const char* build_id, const char** error) noexcept {
  try {
    return ptsecure::torch_plugin::start(build_id != nullptr ? build_id : "", error);
  } catch (...) {
    *error = "an unexpected error while starting";
    return nullptr;
  }
}
