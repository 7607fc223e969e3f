#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "capi/handles.hpp"

// Calls and their options, in the core's terms.
namespace ptsecure::capi {

// When a call is to end, from now on; nothing more for calls that have no progress to tell of.
// Throws what ends it at once: Status::cancelled, or Status::invalid_argument for a wrong struct.
CancelToken token_of(const pts_call* given);

// A call that tells of its progress: on the thread that made it and on no other, because a
// language's runtime may not expect its callbacks elsewhere.
class Call {
 public:
  explicit Call(const pts_call* given);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  const CancelToken& cancel() const noexcept { return cancel_; }
  // For the core; must not outlive this. Throws Status::cancelled when the callback says so.
  Progress progress();
  // After success: tells the callback that all is done unless it knows.
  void finish() noexcept;

 private:
  explicit Call(const pts_call& known);
  void operator()(std::uint64_t done, std::uint64_t total);

  CancelToken cancel_;
  pts_progress_fn callback_;
  void* user_;
  std::thread::id thread_;
  std::atomic<std::uint64_t> total_{0};
  std::atomic<bool> stopped_{false};
  bool complete_ = false;
};

PublishOptions publish_options(const pts_publish_options* given, Call& call);
OpenOptions open_options(const pts_open_options* given, Call& call);
CheckSink check_sink(pts_check_fn check, void* user);

}  // namespace ptsecure::capi
