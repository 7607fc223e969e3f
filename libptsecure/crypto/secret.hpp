#pragma once

#include <cstddef>
#include <limits>
#include <new>
#include <string>

#include "libptsecure/base/bytes.hpp"

namespace ptsecure {

// Overwrites memory in a way the compiler can't remove.
void secure_zero(void* data, std::size_t size) noexcept;

// Memory for secrets: pages that are locked (where the process may lock memory), left out of core
// dumps, fenced by inaccessible pages and zeroed when freed. Thread-safe. `secret_free` needs the
// size that was asked for. Throws std::bad_alloc.
void* secret_allocate(std::size_t size);
void secret_free(void* data, std::size_t size) noexcept;

// False once the system refused to lock any page of that memory (RLIMIT_MEMLOCK), so that secrets
// could reach swap; callers report it. A forked child locks its pages again at its next use.
bool secret_memory_locked() noexcept;

// A secret of fixed size: moves, never copies by accident.
class SecretBytes {
 public:
  SecretBytes() noexcept = default;
  explicit SecretBytes(std::size_t size);  // zeroed
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  static SecretBytes random(std::size_t size);
  static SecretBytes copy(ByteView bytes);
  SecretBytes clone() const { return copy(view()); }

  std::uint8_t* data() noexcept { return data_; }
  const std::uint8_t* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  ByteView view() const noexcept { return {data_, size_}; }
  ByteSpan span() noexcept { return {data_, size_}; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

// The same memory for standard containers.
template <typename T>
class SecretAllocator {
 public:
  using value_type = T;

  SecretAllocator() noexcept = default;
  template <typename U>
  SecretAllocator(const SecretAllocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)

  T* allocate(std::size_t n) {
    static_assert(alignof(T) <= 16, "secret memory is aligned to 16 bytes");
    if (n > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(secret_allocate(n * sizeof(T)));
  }
  void deallocate(T* p, std::size_t n) noexcept { secret_free(p, n * sizeof(T)); }

  template <typename U>
  bool operator==(const SecretAllocator<U>&) const noexcept {
    return true;
  }
};

// A string that keeps more than its small-string part in secret memory: up to 15 characters lie
// inside the object itself, so reserve() before writing a short secret, or keep the object there.
using SecretString = std::basic_string<char, std::char_traits<char>, SecretAllocator<char>>;

}  // namespace ptsecure
