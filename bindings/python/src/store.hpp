#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "binding.hpp"

namespace binding {

inline std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

class Store {
 public:
  explicit Store(pts::Store&& store) : handle_(std::move(store)) {}
  std::shared_ptr<pts::Store> get() const { return handle_.get(); }
  bool closed() const noexcept { return handle_.closed(); }
  void close() noexcept { handle_.close(); }

 private:
  Closable<pts::Store> handle_;
};

}  // namespace binding
