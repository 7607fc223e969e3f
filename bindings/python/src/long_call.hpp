#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <ptsecure/ptsecure.hpp>
#include <type_traits>
#include <utility>

#include "binding.hpp"
#include "deadline.hpp"

namespace binding {

// A call that may wait. It runs on a thread of its own, so that the caller's thread, which is
// Python's main thread as a rule, can look for Ctrl-C also while a server doesn't answer, and calls
// the progress function where Python expects it.
class LongCall {
 public:
  // `on_progress(done, total)`, or None.
  LongCall(const Deadline& limit, const py::object& on_progress);
  LongCall(const LongCall&) = delete;
  LongCall& operator=(const LongCall&) = delete;

  // What the library is to obey.
  const pts::Call& call() const noexcept { return call_; }

  // Starts `body` (which may not touch Python without taking the GIL) and returns after it has
  // ended. What `on_progress` or a signal handler throws cancels the call and comes out of here,
  // else what `body` threw.
  void run(const std::function<void()>& body);

 private:
  struct Figures {
    std::uint64_t done = 0;
    std::uint64_t total = 0;
  };
  // Returns when the call has ended or there is news; true = ended.
  bool wait(std::optional<Figures>& news);
  void watch();

  const py::object& on_progress_;
  pts::Cancel cancel_;
  pts::Call call_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Figures> news_;
  bool ended_ = false;
};

// `body(const pts::Call&)` run as a LongCall; its result.
template <typename Body>
auto run_long(const Deadline& limit, const py::object& on_progress, Body&& body) {
  using Result = std::invoke_result_t<Body, const pts::Call&>;
  LongCall running(limit, on_progress);
  if constexpr (std::is_void_v<Result>) {
    running.run([&] { body(running.call()); });
  } else {
    std::optional<Result> result;
    running.run([&] { result.emplace(body(running.call())); });
    return std::move(*result);
  }
}

// A call that hardly ever waits, and as long as it does has done nothing: tried on this thread, and
// run as a LongCall only when that wasn't enough.
template <typename Body>
auto run_brief(const Deadline& limit, Body&& body) {
  constexpr std::chrono::milliseconds kBrief{100};
  const std::chrono::milliseconds left = limit.left();
  pts::Call brief;
  brief.timeout = left.count() == 0 || left > kBrief ? kBrief : left;
  try {
    return unlocked([&] { return body(std::as_const(brief)); });
  } catch (const pts::Timeout&) {
    if (brief.timeout == left) throw;
  }
  return run_long(limit, py::none(), std::forward<Body>(body));
}

}  // namespace binding
