#pragma once

#include <c10/core/Allocator.h>

#include <cstddef>
#include <memory>

namespace ptsecure::torch_plugin {

inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

// One stretch of memory in huge pages for the large tensors of a module. Known before libtorch
// knows its tensors, so that they can be decrypted while it still reads the program, and without
// the small pages at both ends that each tensor has in memory of its own.
class TensorArena : public std::enable_shared_from_this<TensorArena> {
 public:
  // nullptr when there is no memory for it.
  static std::shared_ptr<TensorArena> make(std::size_t size);
  ~TensorArena();
  TensorArena(const TensorArena&) = delete;
  TensorArena& operator=(const TensorArena&) = delete;

  // The next `size` bytes, aligned as libtorch aligns tensors; nullptr when they don't fit.
  std::byte* take(std::size_t size) noexcept;
  // Room that `take` needs for a tensor of that size.
  static std::size_t room(std::size_t size) noexcept;

  // What take() gave as the memory of a storage. Its whole pages go back to the system with the
  // storage, the rest with the last one.
  c10::DataPtr own(std::byte* begin, std::size_t size);

 private:
  TensorArena(std::byte* mapping, std::size_t mapped, std::size_t size);

  std::byte* mapping_;
  std::size_t mapped_;
  std::byte* next_;
  std::byte* end_;
};

}  // namespace ptsecure::torch_plugin
