#include "libptsecure/crypto/secret.hpp"

#include <pthread.h>
#include <string.h>  // NOLINT(modernize-deprecated-headers): explicit_bzero
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "libptsecure/crypto/random.hpp"

namespace ptsecure {

void secure_zero(void* data, std::size_t size) noexcept {
  if (size != 0) ::explicit_bzero(data, size);
}

namespace {

constexpr std::size_t kSlabSize = 64 * 1024;
constexpr std::size_t kSmallest = 16;
constexpr std::size_t kClasses = 10;
constexpr std::size_t kLargestSmall = kSmallest << (kClasses - 1);  // 8 KiB

std::size_t class_of(std::size_t size) noexcept {
  return static_cast<std::size_t>(
      std::bit_width((std::max(size, kSmallest) - 1) / kSmallest));  // 16 -> 0, 17..32 -> 1
}

// Small blocks are powers of two cut from slabs and kept in free lists; larger ones are mappings
// of their own. Blocks lie zeroed while free, but for the link.
class SecretArena {
 public:
  static SecretArena& instance() {
    static auto* arena = new SecretArena;  // never destroyed: statics elsewhere may hold secrets
    return *arena;
  }

  void* allocate(std::size_t size) {
    std::lock_guard lock(mutex_);
    relock_after_fork();
    if (size > kLargestSmall) return map(size);
    const std::size_t index = class_of(size);
    if (FreeBlock* block = free_[index]) {
      free_[index] = block->next;
      block->next = nullptr;
      return block;
    }
    return cut(kSmallest << index);
  }

  void release(void* data, std::size_t size) noexcept {
    secure_zero(data, size);
    std::lock_guard lock(mutex_);
    if (size > kLargestSmall) return unmap(data);
    free_[class_of(size)] = new (data) FreeBlock{free_[class_of(size)]};
  }

  bool locked() const noexcept { return locked_.load(std::memory_order_relaxed); }

 private:
  struct FreeBlock {
    FreeBlock* next;
  };
  struct Region {
    std::uint8_t* base;
    std::size_t size;
  };

  SecretArena() : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    ::pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                     [] {
                       instance().relock_ = true;
                       instance().mutex_.unlock();
                     });
  }

  std::uint8_t* cut(std::size_t size) {
    if (slab_left_ < size) {
      while (slab_left_ >= kSmallest) {  // what is left of the old slab goes to the free lists
        const std::size_t part = std::bit_floor(slab_left_);
        const std::size_t index = class_of(part);
        free_[index] = new (slab_next_) FreeBlock{free_[index]};
        slab_next_ += part;
        slab_left_ -= part;
      }
      slab_next_ = map(kSlabSize);
      slab_left_ = kSlabSize;
    }
    std::uint8_t* block = slab_next_;
    slab_next_ += size;
    slab_left_ -= size;
    return block;
  }

  std::uint8_t* map(std::size_t size) {
    if (size > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
    const std::size_t inside = (size + page_ - 1) / page_ * page_;
    regions_.reserve(regions_.size() + 1);
    void* outer =
        ::mmap(nullptr, inside + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (outer == MAP_FAILED) throw std::bad_alloc();
    std::uint8_t* base = static_cast<std::uint8_t*>(outer) + page_;
    if (::mprotect(base, inside, PROT_READ | PROT_WRITE) != 0) {
      ::munmap(outer, inside + 2 * page_);
      throw std::bad_alloc();
    }
    ::madvise(base, inside, MADV_DONTDUMP);
    lock_pages({base, inside});
    regions_.push_back({base, inside});
    return base;
  }

  void unmap(void* data) noexcept {
    const auto region = std::find_if(regions_.begin(), regions_.end(),
                                     [&](const Region& r) { return r.base == data; });
    if (region == regions_.end()) return;
    ::munmap(region->base - page_, region->size + 2 * page_);
    *region = regions_.back();
    regions_.pop_back();
  }

  void lock_pages(Region region) noexcept {
    if (::mlock(region.base, region.size) != 0) locked_.store(false, std::memory_order_relaxed);
  }

  // Memory locks are not inherited by a child.
  void relock_after_fork() noexcept {
    if (!std::exchange(relock_, false)) return;
    for (const Region& region : regions_) lock_pages(region);
  }

  std::mutex mutex_;
  std::array<FreeBlock*, kClasses> free_{};
  std::vector<Region> regions_;
  std::uint8_t* slab_next_ = nullptr;
  std::size_t slab_left_ = 0;
  std::size_t page_;
  bool relock_ = false;
  std::atomic<bool> locked_{true};
};

}  // namespace

void* secret_allocate(std::size_t size) {
  return SecretArena::instance().allocate(std::max<std::size_t>(size, 1));
}

void secret_free(void* data, std::size_t size) noexcept {
  if (data != nullptr) SecretArena::instance().release(data, std::max<std::size_t>(size, 1));
}

bool secret_memory_locked() noexcept {
  return SecretArena::instance().locked();
}

SecretBytes::SecretBytes(std::size_t size) : size_(size) {
  if (size != 0) data_ = static_cast<std::uint8_t*>(secret_allocate(size));
}

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    secret_free(data_, size_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

SecretBytes::~SecretBytes() {
  secret_free(data_, size_);
}

SecretBytes SecretBytes::random(std::size_t size) {
  SecretBytes out(size);
  random_bytes(out.span());
  return out;
}

SecretBytes SecretBytes::copy(ByteView bytes) {
  SecretBytes out(bytes.size());
  if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

}  // namespace ptsecure
