#pragma once

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <utility>

namespace server {

// Threads for work that takes long, and a bounded number of places to wait for them.
class Lane {
 public:
  Lane(unsigned threads, unsigned waiting) : limit_(threads + waiting), pool_(threads) {}

  bool full() const { return taken_.load(std::memory_order_relaxed) >= limit_; }

  // Runs `work` on one of the threads; it must not throw. False when there is no place for it.
  template <class Work>
  bool run(Work work) {
    if (taken_.fetch_add(1) >= limit_) {
      taken_.fetch_sub(1);
      return false;
    }
    boost::asio::post(pool_, [place = Place(taken_), work = std::move(work)]() mutable { work(); });
    return true;
  }

  void join() { pool_.join(); }

 private:
  class Place {
   public:
    explicit Place(std::atomic<unsigned>& taken) : taken_(&taken) {}
    Place(Place&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (taken_ != nullptr) taken_->fetch_sub(1);
    }

   private:
    std::atomic<unsigned>* taken_;
  };

  const unsigned limit_;
  std::atomic<unsigned> taken_{0};
  boost::asio::thread_pool pool_;
};

}  // namespace server
