#include "libptsecure/base/thread_pool.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "libptsecure/base/cores.hpp"

namespace ptsecure {
namespace {

// Whether this thread is inside work() of any pool.
thread_local bool inside_work = false;

class InsideWork {
 public:
  InsideWork() : before_(inside_work) { inside_work = true; }
  ~InsideWork() { inside_work = before_; }
  InsideWork(const InsideWork&) = delete;
  InsideWork& operator=(const InsideWork&) = delete;

 private:
  const bool before_;
};

// One call of for_each; lives on the caller's stack.
struct Job {
  Job(std::uint64_t n, const std::function<void(std::uint64_t)>& f) : count(n), work(f) {}

  // Takes indices until there are none left.
  void run() {
    const InsideWork inside;
    for (;;) {
      const std::uint64_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= count) return;
      try {
        work(index);
      } catch (...) {
        next.store(count, std::memory_order_relaxed);
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }
  }

  bool exhausted() const { return next.load(std::memory_order_relaxed) >= count; }

  const std::uint64_t count;
  const std::function<void(std::uint64_t)>& work;
  std::atomic<std::uint64_t> next{0};
  unsigned helpers = 0;  // threads of the pool inside run(); guarded by State::mutex
  std::condition_variable helpers_gone;
  std::mutex error_mutex;
  std::exception_ptr error;
};

}  // namespace

struct ThreadPool::State {
  State() : process(getpid()) {}

  // The caller of for_each is one of `size`.
  void start(unsigned size) {
    if (started) return;
    threads.reserve(size - 1);
    started = true;
    // The host's signals are for the host's threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (threads.size() + 1 < size && start_one()) {
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  // False when the system has no more threads: those there are, at least the caller, do the work.
  bool start_one() {
    try {
      threads.emplace_back([this] { serve(); });
    } catch (const std::exception&) {
      return false;
    }
    pthread_setname_np(threads.back().native_handle(), "ptsecure");
    return true;
  }

  // The job with the fewest helpers, so that callers share them.
  Job* pick() {
    Job* best = nullptr;
    for (Job* job : jobs) {
      if (!job->exhausted() && (best == nullptr || job->helpers < best->helpers)) best = job;
    }
    return best;
  }

  void serve() {
    std::unique_lock lock(mutex);
    for (;;) {
      Job* job = nullptr;
      wake.wait(lock, [&] { return stopping || (job = pick()) != nullptr; });
      if (stopping) return;
      ++job->helpers;
      lock.unlock();
      job->run();
      lock.lock();
      if (--job->helpers == 0) job->helpers_gone.notify_one();
    }
  }

  void run(Job& job, unsigned size) {
    {
      const std::lock_guard lock(mutex);
      start(size);
      jobs.push_back(&job);
    }
    const std::uint64_t useful = std::min<std::uint64_t>(job.count - 1, size - 1);
    for (std::uint64_t i = 0; i < useful; ++i) wake.notify_one();
    job.run();
    std::unique_lock lock(mutex);
    jobs.remove(&job);
    job.helpers_gone.wait(lock, [&] { return job.helpers == 0; });
  }

  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    for (std::thread& thread : threads) thread.join();
  }

  const pid_t process;
  std::mutex mutex;
  std::condition_variable wake;
  std::list<Job*> jobs;
  std::vector<std::thread> threads;
  bool started = false;
  bool stopping = false;
};

ThreadPool::ThreadPool(unsigned threads)
    : most_(threads == 0 ? affinity_cores() : threads), size_(threads), state_(new State) {}

ThreadPool::~ThreadPool() {
  State* state = state_.load();
  // After a fork the parent's threads don't exist here and its locks may be held for ever: left be.
  if (state->process != getpid()) return;
  state->stop();
  delete state;
}

unsigned ThreadPool::size() const {
  unsigned size = size_.load();
  // Threads that ask at once may find different quotas: the first to say so is right.
  if (size == 0 && size_.compare_exchange_strong(size, within_quota(most_))) size = size_.load();
  return size;
}

ThreadPool::State& ThreadPool::state() {
  State* current = state_.load();
  const pid_t process = getpid();
  while (current->process != process) {
    auto* fresh = new State;
    if (state_.compare_exchange_strong(current, fresh)) return *fresh;
    delete fresh;
  }
  return *current;
}

void ThreadPool::for_each(std::uint64_t count, const std::function<void(std::uint64_t)>& work) {
  if (count == 0) return;
  Job job(count, work);
  if (inside_work || count == 1 || size() == 1) {
    job.run();
  } else {
    state().run(job, size());
  }
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace ptsecure
