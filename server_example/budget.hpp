#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "server_example/http.hpp"

namespace server {

// Bytes that all requests and answers together hold.
class Budget {
 public:
  explicit Budget(std::size_t limit) : limit_(limit) {}

  bool take(std::size_t bytes) {
    if (used_.fetch_add(bytes) + bytes <= limit_) return true;
    used_.fetch_sub(bytes);
    return false;
  }
  // For what is there already: the next ones wait for it.
  void add(std::size_t bytes) { used_.fetch_add(bytes); }
  void give(std::size_t bytes) { used_.fetch_sub(bytes); }
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
};

// Bytes of the budget that go back by themselves.
class Share {
 public:
  Share() = default;
  Share(Budget& budget, std::size_t bytes) : budget_(&budget), bytes_(bytes) {}
  Share(Share&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  Share& operator=(Share&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Share() {
    if (budget_ != nullptr) budget_->give(bytes_);
  }

 private:
  Budget* budget_ = nullptr;
  std::size_t bytes_ = 0;
};

// A body while it comes in. Byte `align_at` (where binary data will begin) lies on a boundary that
// suits every tensor, so that inputs needn't be copied.
class BodyBuffer {
 public:
  BodyBuffer() = default;
  BodyBuffer(Budget& budget, std::uint64_t align_at)
      : budget_(&budget), lead_(static_cast<std::size_t>(-align_at % alignment())) {}

  bool reserve(std::size_t size) {
    if (size <= capacity_) return true;
    if (budget_ == nullptr || !budget_->take(size)) return false;
    Share share(*budget_, size);
    void* raw =
        std::aligned_alloc(alignment(), (lead_ + size + alignment() - 1) & ~(alignment() - 1));
    if (raw == nullptr) return false;
    auto grown = std::make_shared<Memory>(raw, std::move(share));
    if (size_ != 0) std::memcpy(grown->bytes.get() + lead_, data(), size_);
    memory_ = std::move(grown);
    capacity_ = size;
    return true;
  }
  bool append(const void* bytes, std::size_t size) {
    if (size > capacity_ - size_) {
      const std::size_t wanted = size_ + size;
      if (!reserve(wanted < 2 * capacity_ ? 2 * capacity_ : wanted)) return false;
    }
    if (size != 0) std::memcpy(data() + size_, bytes, size);
    size_ += size;
    return true;
  }
  std::size_t size() const { return size_; }

  // The bytes, which go when nobody has them any more.
  Body take() {
    Body body;
    body.size = size_;
    if (memory_) body.data = data();
    body.owner = std::move(memory_);
    return body;
  }

 private:
  static std::size_t alignment() { return pts_infer_alignment(); }
  struct Free {
    void operator()(std::uint8_t* bytes) const { std::free(bytes); }
  };
  struct Memory {
    Memory(void* raw, Share taken)
        : share(std::move(taken)), bytes(static_cast<std::uint8_t*>(raw)) {}
    Share share;
    std::unique_ptr<std::uint8_t, Free> bytes;
  };

  std::uint8_t* data() { return memory_->bytes.get() + lead_; }

  Budget* budget_ = nullptr;
  std::size_t lead_ = 0;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::shared_ptr<Memory> memory_;
};

}  // namespace server
