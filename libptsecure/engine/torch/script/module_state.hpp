#pragma once

#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "libptsecure/engine/torch/files/read_adapter.hpp"

// The tensors a module holds: where they live, and how a fork gets its own.
namespace ptsecure::torch_plugin {

// Every storage that a module's parameters, buffers and other attributes live in, each once.
class ModuleStorages {
 public:
  explicit ModuleStorages(const torch::jit::Module& module);

  std::uint64_t total_bytes() const { return total_bytes_; }
  // Throws Error(Status::invalid_model) when a tensor reaches beyond its storage, or a storage
  // beyond the record it was read from: libtorch checks neither while loading.
  void check_bounds(const ReadAdapter& reads) const;
  // True when each of these will be written into the memory of a storage of the module.
  bool hold(std::span<const PlacedRecord> records) const;
  // Exchanges the memory of storages for the arena's where the records are there. They hold.
  void adopt(std::span<const PlacedRecord> records, TensorArena& arena) const;

 private:
  struct Range {
    const void* begin = nullptr;
    std::size_t size = 0;
    c10::Storage storage;
  };
  static bool before(const Range& a, const Range& b) {
    return std::less<const void*>()(a.begin, b.begin);
  }

  std::vector<Range>::const_iterator find(const PlacedRecord& record) const;

  std::vector<at::Tensor> tensors_;
  std::vector<Range> ranges_;  // sorted
  std::uint64_t total_bytes_ = 0;
};

// A module of the same class with its own copies of everything it can change; parameters are shared
// unless `copy_parameters`. Tensors that share memory in the original share it in the copy.
torch::jit::Module fork_module(const torch::jit::Module& module, bool copy_parameters);

}  // namespace ptsecure::torch_plugin
