#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/secret.hpp"

namespace ptsecure {

// Ordinary memory for plaintext on its way, overwritten before it is freed. Throws
// Status::out_of_memory.
class PlainBuffer {
 public:
  explicit PlainBuffer(std::size_t size)
      : data_(static_cast<std::uint8_t*>(
            ::operator new(size, std::align_val_t{kAlignment}, std::nothrow))),
        size_(size) {
    if (data_ == nullptr) {
      throw Error(Status::out_of_memory,
                  "there is no memory for a buffer of " + std::to_string(size) + " bytes");
    }
  }
  PlainBuffer(PlainBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  PlainBuffer& operator=(PlainBuffer&&) = delete;
  ~PlainBuffer() {
    if (data_ == nullptr) return;
    secure_zero(data_, size_);
    ::operator delete(data_, std::align_val_t{kAlignment});
  }

  std::uint8_t* data() noexcept { return data_; }
  const std::uint8_t* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  ByteSpan first(std::size_t n) noexcept { return {data_, n}; }

 private:
  static constexpr std::size_t kAlignment = 4096;
  std::uint8_t* data_;
  std::size_t size_;
};

// Buffers of one size that threads borrow: as many are made as are in use at once.
class BufferPool {
 public:
  explicit BufferPool(std::size_t size) : size_(size) {}

  class Loan {
   public:
    Loan(BufferPool& pool, PlainBuffer buffer) : pool_(pool), buffer_(std::move(buffer)) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { pool_.give_back(std::move(buffer_)); }
    PlainBuffer& operator*() noexcept { return buffer_; }
    PlainBuffer* operator->() noexcept { return &buffer_; }

   private:
    BufferPool& pool_;
    PlainBuffer buffer_;
  };

  Loan borrow() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        PlainBuffer buffer = std::move(free_.back());
        free_.pop_back();
        return {*this, std::move(buffer)};
      }
      free_.reserve(++made_);  // so that giving back never allocates
    }
    return {*this, PlainBuffer(size_)};
  }

 private:
  void give_back(PlainBuffer buffer) noexcept {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(buffer));
  }

  std::size_t size_;
  std::mutex mutex_;
  std::vector<PlainBuffer> free_;
  std::size_t made_ = 0;
};

}  // namespace ptsecure
