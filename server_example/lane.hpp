#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <type_traits>
#include <utility>

namespace server {

// Threads for work that takes long, and a bounded number of places to wait for them.
class Lane {
 public:
  Lane(unsigned threads, unsigned waiting) : limit_(threads + waiting), pool_(threads) {}

  bool full() const { return taken_.load(std::memory_order_relaxed) >= limit_; }

  // Runs `work` on one of the threads and goes on where the caller runs. Nothing when full.
  template <class Work>
  boost::asio::awaitable<std::optional<std::invoke_result_t<Work&>>> run(Work work) {
    using Result = std::optional<std::invoke_result_t<Work&>>;
    if (taken_.fetch_add(1) >= limit_) {
      taken_.fetch_sub(1);
      co_return Result();
    }
    const Place place(taken_);
    Result result = co_await boost::asio::co_spawn(pool_, call<Result, Work>(std::move(work)),
                                                   boost::asio::use_awaitable);
    co_return result;
  }

  void join() { pool_.join(); }

 private:
  class Place {
   public:
    explicit Place(std::atomic<unsigned>& taken) : taken_(taken) {}
    ~Place() { taken_.fetch_sub(1); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    std::atomic<unsigned>& taken_;
  };

  template <class Result, class Work>
  static boost::asio::awaitable<Result> call(Work work) {
    co_return Result(work());
  }

  const unsigned limit_;
  std::atomic<unsigned> taken_{0};
  boost::asio::thread_pool pool_;
};

}  // namespace server
