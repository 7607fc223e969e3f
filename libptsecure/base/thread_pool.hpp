#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace ptsecure {

// A fixed number of threads, started on first use; the one that calls for_each counts as one of
// them. Thread-safe. After a fork the child's pool starts its own threads. Signals stay with the
// host's threads.
class ThreadPool {
 public:
  // 0 = cores(), with the affinity that this thread has now; the control groups are read
  // on first use, because that takes several files.
  explicit ThreadPool(unsigned threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned size() const;

  // Calls work(0) .. work(count - 1), each once, in ascending order of start, on the pool's threads
  // and the calling one, and returns when all have ended. The first exception stops indices not yet
  // started and is rethrown here. Calls from several threads share the pool; a call from inside
  // work runs on its own thread alone.
  void for_each(std::uint64_t count, const std::function<void(std::uint64_t)>& work);

 private:
  struct State;
  State& state();

  const unsigned most_;                 // what size_ can be
  mutable std::atomic<unsigned> size_;  // 0: not known yet
  // Replaced, never freed, in a forked child.
  std::atomic<State*> state_;
};

}  // namespace ptsecure
