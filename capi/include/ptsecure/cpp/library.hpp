// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_LIBRARY_HPP_
#define PTSECURE_CPP_LIBRARY_HPP_

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "ptsecure/cpp/error.hpp"

namespace pts {

inline std::string version() {
  return pts_version();
}
// JSON, see pts_features.
inline std::string features() {
  return detail::text(pts_features);
}

// Bytes owned by the library, zeroed when destroyed.
class Bytes {
 public:
  explicit Bytes(pts_bytes* handle) noexcept : handle_(handle) {}
  const std::uint8_t* data() const noexcept { return pts_bytes_data(handle_.get()); }
  std::size_t size() const noexcept { return pts_bytes_size(handle_.get()); }
  std::string_view view() const noexcept {
    return size() == 0 ? std::string_view()
                       : std::string_view(reinterpret_cast<const char*>(data()), size());
  }
  pts_bytes* get() const noexcept { return handle_.get(); }

 private:
  detail::Handle<pts_bytes, pts_bytes_destroy> handle_;
};

// Stops long calls from another thread.
class Cancel {
 public:
  Cancel() : handle_(detail::make<HandleType, pts_cancel>(pts_cancel_create)) {}
  void set() const noexcept { pts_cancel_set(handle_.get()); }
  pts_cancel* get() const noexcept { return handle_.get(); }

 private:
  using HandleType = detail::Handle<pts_cancel, pts_cancel_destroy>;
  HandleType handle_;
};

// Plaintext bytes done and in all. Throw to end the call.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

namespace detail {

// Carries an exception over the C edge: callbacks run under guard(), finish() rethrows.
class Carrier {
 public:
  template <typename Body>
  std::int32_t guard(Body&& body) noexcept {
    try {
      body();
      return 0;
    } catch (...) {
      if (!exception_) exception_ = std::current_exception();
      return 1;
    }
  }
  void rethrow() {
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
  }
  void finish(pts_status status, const pts_error& error) {
    if (status == PTS_OK) return;
    rethrow();
    raise(error);
  }

 private:
  std::exception_ptr exception_;
};

// What `user` points to during a long call.
struct Callbacks : Carrier {
  Progress progress;
  std::function<void(std::uint64_t, void*, std::size_t)> read;
  std::function<void(const void*, std::size_t)> sink;
  std::function<void(const char*, pts_status, const char*)> check;

  pts_progress_fn progress_fn() const { return progress ? &on_progress : nullptr; }

  static std::int32_t on_progress(void* user, std::uint64_t done, std::uint64_t total) {
    auto& self = *static_cast<Callbacks*>(user);
    return self.guard([&] { self.progress(done, total); });
  }
  static std::int32_t on_read(void* user, std::uint64_t position, void* data, std::size_t size) {
    auto& self = *static_cast<Callbacks*>(user);
    return self.guard([&] { self.read(position, data, size); });
  }
  static std::int32_t on_sink(void* user, const void* data, std::size_t size) {
    auto& self = *static_cast<Callbacks*>(user);
    return self.guard([&] { self.sink(data, size); });
  }
  static std::int32_t on_check(void* user, const char* name, pts_status status,
                               const char* detail) {
    auto& self = *static_cast<Callbacks*>(user);
    return self.guard([&] { self.check(name, status, detail); });
  }
};

// Runs `call(callbacks, &error)` and throws what a callback threw, else what the call says.
template <typename Call>
void run_with(Callbacks& callbacks, Call&& call) {
  pts_error error;
  const pts_status status = call(&error);
  callbacks.finish(status, error);
}

}  // namespace detail

}  // namespace pts

#endif  // PTSECURE_CPP_LIBRARY_HPP_
