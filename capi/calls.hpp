#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "capi/handles.hpp"

// Options and callbacks of long calls, in the core's terms.
namespace ptsecure::capi {

// Hands progress to a C callback, on the thread that made the call and on no other: a language's
// runtime may not expect its callbacks elsewhere.
class ProgressRelay {
 public:
  ProgressRelay(pts_progress_fn callback, void* user) noexcept
      : callback_(callback), user_(user), thread_(std::this_thread::get_id()) {}
  ProgressRelay(const ProgressRelay&) = delete;
  ProgressRelay& operator=(const ProgressRelay&) = delete;

  // For the core; must not outlive this. Throws Status::cancelled when the callback says so.
  Progress progress();
  // After success: tells the callback that all is done unless it knows.
  void finish() noexcept;

 private:
  void operator()(std::uint64_t done, std::uint64_t total);

  pts_progress_fn callback_;
  void* user_;
  std::thread::id thread_;
  std::atomic<std::uint64_t> total_{0};
  std::atomic<bool> stopped_{false};
  bool complete_ = false;
};

CancelToken token_of(const pts_cancel* cancel) noexcept;
PublishOptions publish_options(const pts_publish_options* given, ProgressRelay& relay);
OpenOptions open_options(const pts_open_options* given);
OpenOptions open_options(const pts_open_options* given, ProgressRelay& relay);
CheckSink check_sink(pts_check_fn check, void* user);

}  // namespace ptsecure::capi
