#include "long_call.hpp"

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <thread>

namespace binding {
namespace {

// How long Ctrl-C may go unnoticed.
constexpr std::chrono::milliseconds kPoll{50};

// Starts a thread that takes no signals: they are for the thread that waits.
std::thread start_quiet(std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread started(std::move(body));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
}

}  // namespace

LongCall::LongCall(const Deadline& limit, const py::object& on_progress)
    : on_progress_(on_progress) {
  call_.cancel = &cancel_;
  call_.timeout = limit.left();
  if (on_progress.is_none()) return;
  call_.progress = [this](std::uint64_t done, std::uint64_t total) {
    const std::lock_guard lock(mutex_);
    news_ = Figures{done, total};
    changed_.notify_one();
  };
}

bool LongCall::wait(std::optional<Figures>& news) {
  const py::gil_scoped_release unlocked;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPoll, [this] { return ended_ || news_.has_value(); });
  news = std::exchange(news_, std::nullopt);
  return ended_;
}

void LongCall::watch() {
  for (bool ended = false; !ended;) {
    std::optional<Figures> news;
    ended = wait(news);
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (news) on_progress_(news->done, news->total);
  }
}

void LongCall::run(const std::function<void()>& body) {
  std::exception_ptr failure;
  std::thread thread = start_quiet([&] {
    try {
      body();
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_one();
  });
  std::exception_ptr stopped;
  try {
    watch();
  } catch (...) {
    stopped = std::current_exception();
    cancel_.set();
  }
  {
    const py::gil_scoped_release unlocked;
    thread.join();
  }
  if (stopped) std::rethrow_exception(stopped);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace binding
