#include "libptsecure/engine/torch/compiled/memory_library.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <string_view>
#include <utility>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/torch/compiled/platform.hpp"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // since Linux 6.3; where vm.memfd_noexec is set it must be asked for
#endif

namespace ptsecure::torch_plugin {
namespace {

constexpr std::uint64_t kMaxLibrary = std::uint64_t{64} << 30;

[[noreturn]] void fail(const std::string& what, int error) {
  throw Error(error == ENOMEM ? Status::out_of_memory : Status::engine,
              what + ": " + std::strerror(error));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

class Mapping {
 public:
  // To be filled; else only read, and private, because Linux before 6.7 refuses to share memory
  // that is sealed against writing, for reading too.
  Mapping(int fd, std::size_t size, bool fill) : size_(size) {
    const int protection = fill ? PROT_READ | PROT_WRITE : PROT_READ;
    data_ = mmap(nullptr, size, protection, fill ? MAP_SHARED : MAP_PRIVATE, fd, 0);
    if (data_ == MAP_FAILED) fail("memory for a compiled library could not be mapped", errno);
  }
  ~Mapping() { munmap(data_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
  std::size_t size_;
};

Descriptor make_memfd() {
  int fd = memfd_create("ptsecure", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("ptsecure", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) fail("memory for a compiled library could not be reserved", errno);
  return Descriptor(fd);
}

Descriptor sealed_copy(std::size_t size, const std::function<void(void*)>& fill) {
  Descriptor memfd = make_memfd();
  if (ftruncate(memfd.get(), static_cast<off_t>(size)) != 0) {
    fail("memory for a compiled library could not be reserved", errno);
  }
  {
    const Mapping mapping(memfd.get(), size, /*fill=*/true);
    fill(mapping.data());
    require_native_library({static_cast<const char*>(mapping.data()), size});
  }
  if (fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
      0) {
    fail("a compiled library could not be sealed in memory", errno);
  }
  return memfd;
}

std::string path_of(const Descriptor& fd) {
  return "/proc/self/fd/" + std::to_string(fd.get());
}

bool loader_knows(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (handle != nullptr) dlclose(handle);
  return handle != nullptr;
}

// A number that the loader doesn't already know as another library's.
Descriptor with_free_name(Descriptor fd) {
  std::list<Descriptor> taken;
  while (loader_knows(path_of(fd))) {
    Descriptor next(fcntl(fd.get(), F_DUPFD_CLOEXEC, fd.get() + 1));
    if (next.get() < 0) fail("no file descriptor is free for a compiled library", errno);
    taken.push_back(std::move(fd));
    fd = std::move(next);
  }
  return fd;
}

[[noreturn]] void throw_loader_error(const std::string& path) {
  const char* text = dlerror();
  std::string reason = text != nullptr ? text : "unknown error";
  if (reason.starts_with(path + ": ")) reason.erase(0, path.size() + 2);
  if (const auto symbol = reason.find("undefined symbol: "); symbol != std::string::npos) {
    throw Error(Status::unsupported,
                "the package was compiled by another version of torch than the libtorch in use, "
                "which has no " +
                    reason.substr(symbol + 18) +
                    "; compile the model again with that version, or load the library that "
                    "registers its custom operators first");
  }
  throw Error(Status::invalid_model,
              "the compiled library of the package could not be opened: " + reason);
}

void* open_library(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw_loader_error(path);
  return handle;
}

// Every library the loader has from here, in use or not.
struct Known {
  Descriptor fd;
  std::size_t size;
  std::weak_ptr<MemoryLibrary> in_use;
};
struct Table {
  std::mutex mutex;
  std::list<Known> known;
};
Table& table() {
  static Table* instance = new Table;  // outlives every library, also at exit
  return *instance;
}

bool same_bytes(const Known& known, const Descriptor& other, std::size_t size) {
  if (known.size != size) return false;
  const Mapping a(known.fd.get(), size, /*fill=*/false);
  const Mapping b(other.get(), size, /*fill=*/false);
  return std::memcmp(a.data(), b.data(), size) == 0;
}

}  // namespace

std::shared_ptr<MemoryLibrary> MemoryLibrary::open(std::uint64_t size,
                                                   const std::function<void(void*)>& fill) {
  if (size == 0 || size > kMaxLibrary) {
    throw Error(Status::invalid_model,
                "the compiled library of the package has an impossible size");
  }
  Descriptor fd = sealed_copy(size, fill);
  const std::lock_guard lock(table().mutex);
  for (Known& known : table().known) {
    if (!same_bytes(known, fd, size)) continue;
    if (auto library = known.in_use.lock()) return library;
    const std::string path = path_of(known.fd);
    const std::shared_ptr<MemoryLibrary> again(new MemoryLibrary(path, open_library(path)));
    known.in_use = again;
    return again;
  }
  fd = with_free_name(std::move(fd));
  table().known.push_back({.fd = std::move(fd), .size = size, .in_use = {}});
  Known& known = table().known.back();
  try {
    const std::string path = path_of(known.fd);
    const std::shared_ptr<MemoryLibrary> library(new MemoryLibrary(path, open_library(path)));
    known.in_use = library;
    return library;
  } catch (...) {
    table().known.pop_back();
    throw;
  }
}

MemoryLibrary::~MemoryLibrary() {
  const std::lock_guard lock(table().mutex);
  dlclose(handle_);
  if (loader_knows(path_)) return;
  table().known.remove_if([this](const Known& known) { return path_of(known.fd) == path_; });
}

void* MemoryLibrary::find(const char* symbol) const {
  return dlsym(handle_, symbol);
}

namespace {

constexpr const char* kLibtorch = "libtorch.so";
constexpr const char* kStandIn = "libptsecure_libtorch.so";

std::string folder_of(const void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return {};
  const std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}

bool is_python_process() {
  if (dlsym(RTLD_DEFAULT, "Py_IsInitialized") != nullptr) return true;
  const auto is_python = [](dl_phdr_info* info, std::size_t, void*) {
    const std::string_view path = info->dlpi_name != nullptr ? info->dlpi_name : "";
    return path.find("/libpython3") != std::string_view::npos ||
                   path.ends_with("/libtorch_python.so")
               ? 1
               : 0;
  };
  return dl_iterate_phdr(is_python, nullptr) != 0;
}

void open_libtorch() {
  if (dlopen(kLibtorch, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD) != nullptr) return;
  void* cpu = dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  const void* in_cpu = cpu != nullptr ? dlsym(cpu, "aoti_torch_device_type_cpu") : nullptr;
  const std::string real = folder_of(in_cpu) + kLibtorch;
  if (dlopen(real.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return;
  const char* text = dlerror();
  const std::string reason = text != nullptr ? text : real;
  if (is_python_process()) {
    throw Error(Status::engine, "compiled packages need " + std::string(kLibtorch) +
                                    ", which could not be opened (" + reason +
                                    "); install torch with all it depends on: pip install torch");
  }
  const std::string stand_in =
      folder_of(reinterpret_cast<const void*>(&provide_libtorch)) + kStandIn;
  if (dlopen(stand_in.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return;
  throw Error(Status::engine, "compiled packages need " + std::string(kLibtorch) +
                                  ", which could not be opened (" + reason + "), and " + stand_in +
                                  " is missing; install ptsecure again");
}

}  // namespace

void provide_libtorch() {
  static std::mutex mutex;
  static bool provided = false;
  const std::lock_guard lock(mutex);
  if (provided) return;
  open_libtorch();
  provided = true;
}

}  // namespace ptsecure::torch_plugin
