#pragma once

#include <pybind11/pybind11.h>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <ptsecure/ptsecure.hpp>
#include <thread>

namespace binding {

namespace py = pybind11;

// A call that takes its time. It runs on a thread of its own, so that the caller's thread, which is
// Python's main thread as a rule, can look for Ctrl-C also while a server doesn't answer, and calls
// the progress function where Python expects it.
class LongCall {
 public:
  const pts::Cancel& cancel() const noexcept { return cancel_; }
  // For the options of the call: notes the figures for the waiting thread.
  pts::Progress progress();

  // Starts `body` (which may not touch Python without taking the GIL), calls `on_progress(done,
  // total)` as it goes on, and returns after it has ended. What `on_progress` or a signal handler
  // throws cancels the call and comes out of here, else what `body` threw.
  void run(const std::function<void()>& body, const py::object& on_progress);

 private:
  struct Figures {
    std::uint64_t done = 0;
    std::uint64_t total = 0;
  };
  // Returns when the call has ended or there is news; true = ended.
  bool wait(std::optional<Figures>& news);
  void watch(const py::object& on_progress);

  pts::Cancel cancel_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Figures> news_;
  bool ended_ = false;
};

// `call(long_call)` run as a LongCall; its result.
template <typename Call>
auto run_long(const py::object& on_progress, Call&& call) {
  LongCall running;
  std::optional<decltype(call(running))> result;
  running.run([&] { result.emplace(call(running)); }, on_progress);
  return std::move(*result);
}

}  // namespace binding
