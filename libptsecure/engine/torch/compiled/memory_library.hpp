#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

// Shared libraries opened from memory. No torch here.
namespace ptsecure::torch_plugin {

// A compiled library whose bytes lie in a sealed memfd, never in a file. Two with the same bytes
// are one: the code is mapped once however many models use it, and opening the same version again
// costs no memory. Thread-safe.
//
// The system's loader knows a library by the name it was opened by, here /proc/self/fd/N, so the
// descriptor stays open, and N with it taken, until the loader has let the library go. Many never
// go: one with an STB_GNU_UNIQUE symbol, which g++ makes for every static local of an inline
// function, stays mapped until the process ends. Such a one is found again when its bytes return.
class MemoryLibrary {
 public:
  // `fill` writes the `size` bytes of the library. Throws Error(Status::invalid_model or
  // unsupported) when they are no library for this processor, with the loader's reason when it
  // refuses them, e.g. for symbols that the libtorch in use doesn't have.
  static std::shared_ptr<MemoryLibrary> open(std::uint64_t size,
                                             const std::function<void(void*)>& fill);
  ~MemoryLibrary();
  MemoryLibrary(const MemoryLibrary&) = delete;
  MemoryLibrary& operator=(const MemoryLibrary&) = delete;

  // What dlopen() knows it by.
  const std::string& path() const { return path_; }
  // Null when the library doesn't export it.
  void* find(const char* symbol) const;

 private:
  MemoryLibrary(std::string path, void* handle) : path_(std::move(path)), handle_(handle) {}
  std::string path_;
  void* handle_;
};

// Makes sure that the name libtorch.so, which every library that AOTInductor compiles needs, means
// something in this process: the real one beside libtorch_cpu.so where it opens. Where it doesn't,
// because CUDA's libraries are not installed, an empty library of that name, except in a Python
// process, whose own `import torch` would then miss its CUDA part. Throws Error(Status::engine).
void provide_libtorch();

}  // namespace ptsecure::torch_plugin
