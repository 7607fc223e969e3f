#include "libptsecure/engine/loader.hpp"

#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "libptsecure/engine/torch_version.hpp"

#ifndef PTSECURE_BUILD_ID
#define PTSECURE_BUILD_ID "unknown"
#endif
#ifndef PTSECURE_TORCH_DIR_DEFAULT
#define PTSECURE_TORCH_DIR_DEFAULT ""
#endif
#ifndef PTSECURE_TORCH_VERSION
#define PTSECURE_TORCH_VERSION ""
#endif

namespace ptsecure {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPluginFile = "libptsecure_torch.so";
constexpr const char* kTorchLibrary = "libtorch_cpu.so";
constexpr std::string_view kBuiltWith = PTSECURE_TORCH_VERSION;

std::atomic<Engine*> g_engine{nullptr};
std::mutex g_opening;

[[noreturn]] void fail(const std::string& message) {
  throw Error(Status::engine, message);
}

// What to type to get a libtorch that fits, e.g. "pip install torch==2.15.*".
std::string install_advice() {
  std::string spec = "torch";
  if (const auto minor = kBuiltWith.rfind('.'); minor != std::string_view::npos) {
    spec += "==" + std::string(kBuiltWith.substr(0, minor)) + ".*";
  }
  return "install it with `pip install --no-deps '" + spec +
         "' nvidia-cuda-runtime nvidia-cuda-cupti` and set PTSECURE_TORCH_DIR to the `torch` "
         "folder of that site-packages";
}

const char* last_dl_error() {
  const char* text = dlerror();
  return text != nullptr ? text : "unknown error";
}

bool is_file(const fs::path& path) {
  std::error_code ec;
  return fs::is_regular_file(path, ec);
}

// Where the plug-in may lie, nearest first.
std::vector<fs::path> plugin_candidates() {
  Dl_info info{};
  link_map* map = nullptr;
  const void* self = reinterpret_cast<const void*>(&torch_engine_loaded);
  if (dladdr1(self, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0 ||
      map == nullptr) {
    return {};
  }
  std::error_code ec;
  const bool in_executable = map->l_name == nullptr || map->l_name[0] == '\0';
  if (!in_executable) {
    const fs::path folder = fs::canonical(map->l_name, ec).parent_path();
    if (ec) return {};
    return {folder / kPluginFile};
  }
  const fs::path folder = fs::read_symlink("/proc/self/exe", ec).parent_path();
  if (ec) return {};
  return {folder / kPluginFile, (folder / "../lib" / kPluginFile).lexically_normal()};
}

fs::path find_plugin() {
  std::string looked_in;
  for (const fs::path& candidate : plugin_candidates()) {
    if (is_file(candidate)) return candidate;
    looked_in += (looked_in.empty() ? "" : " and ") + candidate.string();
  }
  fail("the torch plug-in was not found (looked for " +
       (looked_in.empty() ? std::string(kPluginFile) : looked_in) +
       "); install it beside the ptsecure library, or build with -DPTSECURE_TORCH=ON");
}

// The folder with libtorch's libraries under what a user gave: a Python package's folder, an
// unpacked libtorch, a site-packages, or the folder of the libraries itself.
std::optional<fs::path> library_folder(const fs::path& given) {
  for (const char* below : {"lib", "torch/lib", ""}) {
    if (fs::path folder = given / below; is_file(folder / kTorchLibrary)) return folder;
  }
  return std::nullopt;
}

// The folder of libtorch's libraries, by the order the header names.
fs::path find_torch(const std::string& torch_dir) {
  const char* variable = secure_getenv("PTSECURE_TORCH_DIR");
  std::string given = torch_dir;
  std::string source = "given as the torch folder";
  if (given.empty() && variable != nullptr && variable[0] != '\0') {
    given = variable;
    source = "from PTSECURE_TORCH_DIR";
  }
  if (given.empty()) {
    given = PTSECURE_TORCH_DIR_DEFAULT;
    source = "recorded when ptsecure was built";
  }
  if (given.empty()) {
    fail("libtorch was not found: no torch folder was given and PTSECURE_TORCH_DIR is not set; " +
         install_advice());
  }
  std::error_code ec;
  const fs::path absolute = fs::absolute(given, ec);
  if (auto folder = library_folder(ec ? fs::path(given) : absolute)) return *folder;
  fail("libtorch was not found: there is no " + given + "/lib/" + kTorchLibrary + " (" + source +
       "); " + install_advice());
}

fs::path folder_of(void* handle) {
  link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, static_cast<void*>(&map)) != 0 || map == nullptr) return {};
  return fs::path(map->l_name).parent_path();
}

struct TorchLibrary {
  void* handle = nullptr;
  fs::path folder;
};

// Local scope is enough, because everything that uses libtorch names it as a dependency, and keeps
// its thousands of symbols out of the host's way. A later `import torch` finds the same mapping by
// SONAME.
TorchLibrary open_torch(const std::string& torch_dir) {
  if (void* loaded = dlopen(kTorchLibrary, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD)) {
    return {loaded, folder_of(loaded)};
  }
  const fs::path folder = find_torch(torch_dir);
  for (const char* name : {"libc10.so", kTorchLibrary}) {
    const fs::path path = folder / name;
    if (void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      if (name == kTorchLibrary) return {handle, folder};
      continue;
    }
    const std::string reason = last_dl_error();
    fail("libtorch could not be opened (" + reason + "); " + install_advice());
  }
  fail("libtorch could not be opened");
}

// Asked from the library itself, so that it holds for one that the process already had. Not from
// at::show_config(), which has libtorch look for its CUDA part, once in a process and here too
// soon.
std::string version_of(const TorchLibrary& torch) {
  using AbiVersion = std::uint64_t (*)();
  void* symbol = dlsym(torch.handle, "aoti_torch_abi_version");
  return symbol == nullptr ? "of an old release"
                           : torch_version(reinterpret_cast<AbiVersion>(symbol)());
}

bool same_minor(std::string_view a, std::string_view b) {
  return a.substr(0, a.rfind('.')) == b.substr(0, b.rfind('.'));
}

Engine* open_plugin(const fs::path& path, const TorchLibrary& torch) {
  const std::string found = version_of(torch);
  const std::string where = "libtorch " + found + " (" + torch.folder.string() + ")";
  if (!kBuiltWith.empty() && !same_minor(kBuiltWith, found)) {
    fail("ptsecure was built with libtorch " + std::string(kBuiltWith) + " but found " + where +
         "; " + install_advice());
  }
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    fail("the torch plug-in could not be opened with " + where + ": " + last_dl_error());
  }
  const auto entry = reinterpret_cast<EnginePluginEntry>(dlsym(handle, kEnginePluginSymbol));
  if (entry == nullptr) fail(path.string() + " is not a ptsecure plug-in; reinstall ptsecure");
  const char* error = nullptr;
  Engine* engine = entry(PTSECURE_BUILD_ID, &error);
  if (engine == nullptr) {
    fail(path.string() + " refused to start with " + where + ": " +
         (error != nullptr ? error : "no reason given"));
  }
  return engine;
}

}  // namespace

Engine& torch_engine(const std::string& torch_dir) {
  if (Engine* engine = g_engine.load(std::memory_order_acquire)) return *engine;
  const std::lock_guard lock(g_opening);
  if (Engine* engine = g_engine.load(std::memory_order_acquire)) return *engine;
  const fs::path plugin = find_plugin();
  Engine* engine = open_plugin(plugin, open_torch(torch_dir));
  g_engine.store(engine, std::memory_order_release);
  return *engine;
}

bool libtorch_in_process() noexcept {
  void* handle = dlopen(kTorchLibrary, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
  if (handle != nullptr) dlclose(handle);
  return handle != nullptr;
}

bool torch_engine_loaded() noexcept {
  return g_engine.load(std::memory_order_acquire) != nullptr;
}

}  // namespace ptsecure
