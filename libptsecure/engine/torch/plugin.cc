#include <ATen/Context.h>
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

#include "libptsecure/engine/engine.hpp"
#include "libptsecure/engine/torch/compiled/aotinductor.hpp"
#include "libptsecure/engine/torch/files/archive.hpp"
#include "libptsecure/engine/torch/script/torchscript.hpp"
#include "libptsecure/engine/torch_version.hpp"

#ifndef PTSECURE_BUILD_ID
#define PTSECURE_BUILD_ID "unknown"
#endif

namespace ptsecure::torch_plugin {
namespace {

std::string libtorch_version() {
  return torch_version(aoti_torch_abi_version());
}

// Beside the libtorch in use.
std::string cuda_library() {
  Dl_info info{};
  const auto address = reinterpret_cast<const void*>(&aoti_torch_abi_version);
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "libtorch_cuda.so";
  const std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + "libtorch_cuda.so";
}

// Empty when the device is there. Opens libtorch_cuda on the first question about a GPU. libtorch
// looks for its CUDA part once in a process, and a convolution on the CPU is enough for it to
// look.
std::string why_no_cuda(Device device) {
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
    const at::CUDAHooksInterface& hooks = at::detail::getCUDAHooks();
    if (typeid(hooks) == typeid(at::CUDAHooksInterface)) {
      return "libtorch has run a model on the CPU in this process, without its CUDA part, and "
             "doesn't look for it again: open a model on a GPU first, then those on the CPU";
    }
    if (!hooks.hasCUDA()) return "there is no NVIDIA GPU or driver";
    const auto count = hooks.deviceCount();
    if (device.index < count) return {};
    return "there are only " + std::to_string(static_cast<int>(count)) + " GPUs";
  } catch (const std::exception&) {
    return "there is no NVIDIA GPU or driver";
  }
}

void require_device(Device device) {
  if (device.type == DeviceType::cpu) return;
  if (const std::string reason = why_no_cuda(device); !reason.empty()) {
    throw Error(Status::unsupported, "the device cuda:" + std::to_string(device.index) +
                                         " cannot be used: " + reason + "; use the device cpu");
  }
}

// All at the end: compiled packages have no set-up to be beside, and that of TorchScript comes
// before libtorch's CUDA part.
class LateLoad final : public EngineLoad {
 public:
  LateLoad(ByteSource& source, EngineLoadOptions options)
      : source_(source), options_(std::move(options)) {}

  std::unique_ptr<EngineModel> finish() override {
    if (!options_.inspect_only) require_device(options_.device);
    if (options_.format == "torchscript") return begin_torchscript(source_, options_)->finish();
    return load_aotinductor(source_, options_, libtorch_version());
  }

 private:
  ByteSource& source_;
  const EngineLoadOptions options_;
};

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

  std::unique_ptr<EngineLoad> begin_load(ByteSource& source,
                                         const EngineLoadOptions& options) override {
    if (options.format != "torchscript" && options.format != "aotinductor") {
      throw Error(Status::unsupported, "the torch engine does not load the format \"" +
                                           options.format + "\", only torchscript and aotinductor");
    }
    const bool on_cpu = options.inspect_only || options.device == Device{};
    if (options.format == "torchscript" && on_cpu) return begin_torchscript(source, options);
    return std::make_unique<LateLoad>(source, options);
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
