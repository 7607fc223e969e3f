#include "libptsecure/base/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "libptsecure/base/cores.hpp"

namespace ptsecure {
namespace {

TEST(ThreadPool, calls_every_index_once) {
  ThreadPool pool(4);
  EXPECT_EQ(pool.size(), 4u);
  for (const std::uint64_t count : {0, 1, 2, 3, 7, 1000}) {
    std::vector<std::atomic<int>> calls(count);
    pool.for_each(count, [&](std::uint64_t i) { ++calls[i]; });
    for (const auto& n : calls) EXPECT_EQ(n, 1);
  }
}

TEST(ThreadPool, one_thread_works_in_order_on_the_caller) {
  ThreadPool pool(1);
  std::vector<std::uint64_t> order;
  const auto self = std::this_thread::get_id();
  pool.for_each(100, [&](std::uint64_t i) {
    EXPECT_EQ(std::this_thread::get_id(), self);
    order.push_back(i);
  });
  std::vector<std::uint64_t> expected(100);
  std::iota(expected.begin(), expected.end(), std::uint64_t{0});
  EXPECT_EQ(order, expected);
}

// Each call waits until `n` are under way at once, so it ends only if there are n threads.
void meet(ThreadPool& pool, int n) {
  std::mutex mutex;
  std::condition_variable all_here;
  int here = 0;
  pool.for_each(static_cast<std::uint64_t>(n), [&](std::uint64_t) {
    std::unique_lock lock(mutex);
    if (++here == n) all_here.notify_all();
    all_here.wait(lock, [&] { return here == n; });
  });
}

TEST(ThreadPool, works_on_all_its_threads_at_once) {
  ThreadPool pool(5);
  meet(pool, 5);
  meet(pool, 5);
}

TEST(ThreadPool, zero_means_the_available_cores) {
  EXPECT_GE(cores(), 1u);
  EXPECT_EQ(ThreadPool(0).size(), cores());
}

TEST(ThreadPool, the_first_exception_stops_the_rest_and_arrives) {
  ThreadPool pool(3);
  std::atomic<int> calls{0};
  try {
    pool.for_each(1000000, [&](std::uint64_t i) {
      ++calls;
      if (i == 10) throw std::domain_error("index 10");
    });
    FAIL() << "no exception";
  } catch (const std::domain_error& error) {
    EXPECT_STREQ(error.what(), "index 10");
  }
  EXPECT_LT(calls, 1000000);
  std::atomic<int> after{0};
  pool.for_each(50, [&](std::uint64_t) { ++after; });
  EXPECT_EQ(after, 50);
  EXPECT_THROW(ThreadPool(1).for_each(3, [](std::uint64_t) { throw 7; }), int);
}

TEST(ThreadPool, a_nested_call_runs_on_its_own_thread) {
  ThreadPool pool(4);
  ThreadPool other(4);
  std::atomic<int> inner{0};
  pool.for_each(20, [&](std::uint64_t) {
    const auto self = std::this_thread::get_id();
    pool.for_each(5, [&](std::uint64_t) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      ++inner;
    });
    other.for_each(5, [&](std::uint64_t) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      ++inner;
    });
  });
  EXPECT_EQ(inner, 200);
  meet(pool, 4);  // outside again
}

TEST(ThreadPool, many_callers_share_it) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::vector<std::uint64_t> sums(8);
  for (std::size_t c = 0; c < sums.size(); ++c) {
    callers.emplace_back([&, c] {
      for (int round = 0; round < 200; ++round) {
        std::atomic<std::uint64_t> sum{0};
        pool.for_each(37, [&](std::uint64_t i) { sum += i; });
        sums[c] += sum;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const std::uint64_t sum : sums) EXPECT_EQ(sum, 200u * 36 * 37 / 2);
}

TEST(ThreadPool, a_caller_is_not_held_up_by_a_busy_pool) {
  ThreadPool pool(2);
  std::mutex mutex;
  std::condition_variable changed;
  bool release = false;
  int blocked = 0;
  std::thread hog([&] {
    pool.for_each(2, [&](std::uint64_t) {
      std::unique_lock lock(mutex);
      ++blocked;
      changed.notify_all();
      changed.wait(lock, [&] { return release; });
    });
  });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return blocked == 2; });
  }
  std::atomic<int> calls{0};
  pool.for_each(100, [&](std::uint64_t) { ++calls; });
  EXPECT_EQ(calls, 100);
  {
    const std::lock_guard lock(mutex);
    release = true;
  }
  changed.notify_all();
  hog.join();
}

TEST(ThreadPool, its_threads_take_no_signals) {
  ThreadPool pool(3);
  const auto self = std::this_thread::get_id();
  std::atomic<int> unblocked{0};
  std::atomic<int> others{0};
  std::mutex mutex;
  std::condition_variable all_here;
  int here = 0;
  pool.for_each(3, [&](std::uint64_t) {
    sigset_t set;
    pthread_sigmask(SIG_SETMASK, nullptr, &set);
    if (std::this_thread::get_id() != self) {
      ++others;
      if (sigismember(&set, SIGTERM) == 0 || sigismember(&set, SIGPROF) == 0) ++unblocked;
    } else {
      EXPECT_EQ(sigismember(&set, SIGTERM), 0);
    }
    std::unique_lock lock(mutex);
    if (++here == 3) all_here.notify_all();
    all_here.wait(lock, [&] { return here == 3; });
  });
  EXPECT_EQ(others, 2);
  EXPECT_EQ(unblocked, 0);
}

// Instrumented builds can't start threads in the child of a process with threads.
#if !PTSECURE_SANITIZED
// 0 if body() ran to its end in a forked child.
int in_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(ThreadPool, works_in_a_forked_child) {
  ThreadPool pool(3);
  meet(pool, 3);
  EXPECT_EQ(in_child([&] {
              meet(pool, 3);
              meet(pool, 3);
            }),
            0);
  meet(pool, 3);
}

TEST(ThreadPool, works_in_a_child_forked_while_it_was_busy) {
  ThreadPool pool(3);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) pool.for_each(50, [](std::uint64_t) {});
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(in_child([&] { meet(pool, 3); }), 0);
  }
  stop = true;
  busy.join();
}

TEST(ThreadPool, a_child_forked_inside_work_goes_on_alone) {
  ThreadPool pool(3);
  std::atomic<int> bad{0};
  pool.for_each(6, [&](std::uint64_t) {
    if (in_child([&] {
          int calls = 0;
          pool.for_each(10, [&](std::uint64_t) { ++calls; });
          if (calls != 10) _exit(3);
        }) != 0) {
      ++bad;
    }
  });
  EXPECT_EQ(bad, 0);
}

TEST(ThreadPool, can_be_destroyed_in_a_forked_child) {
  auto pool = std::make_unique<ThreadPool>(3);
  meet(*pool, 3);
  EXPECT_EQ(in_child([&] { pool.reset(); }), 0);
  EXPECT_EQ(in_child([&] {
              meet(*pool, 3);
              pool.reset();
            }),
            0);
}
#endif

class AvailableCores : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(sched_getaffinity(0, sizeof before_, &before_), 0); }
  void TearDown() override { ASSERT_EQ(sched_setaffinity(0, sizeof before_, &before_), 0); }

  void stay_on_one() {
    int first = 0;
    while (!CPU_ISSET(first, &before_)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  }

 private:
  cpu_set_t before_{};
};

TEST_F(AvailableCores, respects_the_affinity_mask) {
  stay_on_one();
  EXPECT_EQ(cores(), 1u);
}

TEST_F(AvailableCores, of_a_pool_are_those_of_the_thread_that_made_it) {
  const ThreadPool pool;
  const unsigned before = cores();
  stay_on_one();
  EXPECT_EQ(pool.size(), before);
}

TEST_F(AvailableCores, are_counted_once_for_all_who_ask) {
  ThreadPool pool;
  std::vector<std::thread> threads;
  std::atomic<unsigned> wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { wrong += pool.size() == cores() ? 0U : 1U; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0U);
}

class CgroupCores : public testing::Test {
 protected:
  void SetUp() override {
    root_ =
        std::filesystem::temp_directory_path() / ("ptsecure-cgroup-" + std::to_string(getpid()));
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void file(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_.string() + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  unsigned cores() { return cgroup_cores(root_.string()); }

 private:
  std::filesystem::path root_;
};

TEST_F(CgroupCores, without_groups_there_is_no_limit) {
  EXPECT_EQ(cores(), 0u);
}

TEST_F(CgroupCores, version_2) {
  file("/proc/self/cgroup", "0::/user.slice/app\n");
  file("/sys/fs/cgroup/cpu.max", "max 100000\n");
  file("/sys/fs/cgroup/user.slice/app/cpu.max", "max 100000\n");
  EXPECT_EQ(cores(), 0u);
  file("/sys/fs/cgroup/user.slice/app/cpu.max", "250000 100000\n");
  EXPECT_EQ(cores(), 3u);
  file("/sys/fs/cgroup/user.slice/app/cpu.max", "400000 100000\n");
  EXPECT_EQ(cores(), 4u);
  file("/sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");
  EXPECT_EQ(cores(), 1u);
}

TEST_F(CgroupCores, version_2_seen_from_inside_a_container) {
  file("/proc/self/cgroup", "0::/../../kubepods/pod1/abc\n");
  file("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(cores(), 2u);
}

TEST_F(CgroupCores, version_1) {
  file("/proc/self/cgroup", "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/\n0::/\n");
  file("/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "-1\n");
  file("/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores(), 0u);
  file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "120000\n");
  file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores(), 2u);
}

TEST_F(CgroupCores, nonsense_is_no_limit) {
  file("/proc/self/cgroup", "nonsense\n::\n0::\n0::/a\n1:cpu:/\n");
  file("/sys/fs/cgroup/cpu.max", "garbage\n");
  file("/sys/fs/cgroup/a/cpu.max", "0 0\n");
  file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "12\n");
  file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "x\n");
  EXPECT_EQ(cores(), 0u);
}

}  // namespace
}  // namespace ptsecure
