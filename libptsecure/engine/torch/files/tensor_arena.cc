#include "libptsecure/engine/torch/files/tensor_arena.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <utility>

namespace ptsecure::torch_plugin {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kPage = 4096;

std::size_t rounded_up(std::size_t value, std::size_t unit) {
  return (value + unit - 1) / unit * unit;
}

std::byte* aligned_up(std::byte* address, std::size_t unit) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  return address + (rounded_up(value, unit) - value);
}

// One storage's part of an arena.
struct Part {
  std::shared_ptr<TensorArena> arena;
  std::byte* begin;
  std::size_t size;
};

void release(void* context) {
  const std::unique_ptr<Part> part(static_cast<Part*>(context));
  std::byte* const first = aligned_up(part->begin, kPage);
  const auto end = reinterpret_cast<std::uintptr_t>(part->begin) + part->size;
  const auto begin = reinterpret_cast<std::uintptr_t>(first);
  if (end / kPage * kPage > begin) madvise(first, end / kPage * kPage - begin, MADV_DONTNEED);
}

}  // namespace

TensorArena::TensorArena(std::byte* mapping, std::size_t mapped, std::size_t size)
    : mapping_(mapping),
      mapped_(mapped),
      next_(aligned_up(mapping, kHugePage)),
      end_(next_ + size) {}

TensorArena::~TensorArena() {
  munmap(mapping_, mapped_);
}

std::shared_ptr<TensorArena> TensorArena::make(std::size_t size) {
  const std::size_t whole = rounded_up(size, kHugePage);
  const std::size_t mapped = whole + kHugePage;
  void* const mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  std::shared_ptr<TensorArena> arena(
      new TensorArena(static_cast<std::byte*>(mapping), mapped, whole));
  madvise(arena->next_, whole, MADV_HUGEPAGE);
  return arena;
}

std::size_t TensorArena::room(std::size_t size) noexcept {
  return rounded_up(size, kAlignment);
}

std::byte* TensorArena::take(std::size_t size) noexcept {
  if (room(size) > static_cast<std::size_t>(end_ - next_)) return nullptr;
  return std::exchange(next_, next_ + room(size));
}

c10::DataPtr TensorArena::own(std::byte* begin, std::size_t size) {
  auto part = std::make_unique<Part>(Part{shared_from_this(), begin, size});
  return {begin, part.release(), &release, c10::Device(c10::DeviceType::CPU)};
}

}  // namespace ptsecure::torch_plugin
