// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_LIBRARY_HPP_
#define PTSECURE_CPP_LIBRARY_HPP_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "ptsecure/cpp/error.hpp"

namespace pts {

inline std::string version() {
  return pts_version();
}
// Cores that this process may use, see pts_cores.
inline unsigned cores() noexcept {
  return pts_cores();
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

// Ends calls from another thread.
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

// What one call obeys, see pts_call; everything that may wait takes one.
struct Call {
  const Cancel* cancel = nullptr;       // borrowed during the call
  std::chrono::nanoseconds timeout{0};  // 0 = no limit; rounded up to milliseconds
  Progress progress;
};

// Hears of each finding of a verification: `status` is PTS_OK or what is wrong, `detail` one
// sentence. Throw to end it.
using CheckFunction = std::function<void(const char* check, pts_status status, const char* detail)>;

namespace detail {

// Carries the first exception of a callback over the C edge: callbacks run under guard(), finish()
// throws it again.
class Carrier {
 public:
  template <typename Body>
  std::int32_t guard(Body&& body) noexcept {
    try {
      body();
      return 0;
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!exception_) exception_ = std::current_exception();
      return 1;
    }
  }
  void rethrow() {
    std::exception_ptr thrown;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      thrown = std::exchange(exception_, nullptr);
    }
    if (thrown) std::rethrow_exception(thrown);
  }
  void finish(pts_status status, const pts_error& error) {
    if (status == PTS_OK) return;
    rethrow();
    raise(error);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr exception_;
};

// A Call as the C ABI takes it; it is borrowed.
class RawCall : public Carrier {
 public:
  explicit RawCall(const Call& call) : call_(call) {
    raw_.cancel = call.cancel == nullptr ? nullptr : call.cancel->get();
    raw_.timeout_ms = milliseconds(call.timeout);
    if (call.progress) raw_.progress = &on_progress;
    raw_.progress_user = this;
  }
  RawCall(const RawCall&) = delete;
  RawCall& operator=(const RawCall&) = delete;
  const pts_call* get() const noexcept { return &raw_; }

 private:
  // Away from zero, which would be no limit; the library refuses one that is negative.
  static std::int64_t milliseconds(std::chrono::nanoseconds time) {
    const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(time);
    if (whole == time) return whole.count();
    return whole.count() + (time.count() > 0 ? 1 : -1);
  }
  static std::int32_t on_progress(void* user, std::uint64_t done, std::uint64_t total) {
    auto& self = *static_cast<RawCall*>(user);
    return self.guard([&] { self.call_.progress(done, total); });
  }

  const Call& call_;
  pts_call raw_ = PTS_CALL_INIT;
};

// The functions of error.hpp for what takes a call as well: `function(const pts_call*, ...)`.
template <typename Function>
void run(RawCall& call, Function&& function) {
  pts_error error;
  const pts_status status = function(call.get(), &error);
  call.finish(status, error);
}

template <typename Function>
void run(const Call& call, Function&& function) {
  RawCall raw(call);
  run(raw, function);
}

template <typename Function>
std::string text(const Call& call, Function&& function) {
  RawCall raw(call);
  char* out = nullptr;
  run(raw, [&](const pts_call* c, pts_error* error) { return function(c, &out, error); });
  return take_text(out);
}

template <typename H, typename T, typename Function>
H make(const Call& call, Function&& function) {
  RawCall raw(call);
  T* out = nullptr;
  run(raw, [&](const pts_call* c, pts_error* error) { return function(c, &out, error); });
  return H(out);
}

// `function` as the C ABI takes it, its exceptions carried by the call.
struct RawCheck {
  const CheckFunction& function;
  Carrier& carrier;

  pts_check_fn get() const { return function ? &on_check : nullptr; }

 private:
  static std::int32_t on_check(void* user, const char* name, pts_status status,
                               const char* detail) {
    const auto& self = *static_cast<const RawCheck*>(user);
    return self.carrier.guard([&] { self.function(name, status, detail); });
  }
};

}  // namespace detail

}  // namespace pts

#endif  // PTSECURE_CPP_LIBRARY_HPP_
