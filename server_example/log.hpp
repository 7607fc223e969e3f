#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>

namespace server {

// One JSON object a line on standard output. Written by a thread of its own, so that a reader who
// stalls never stalls a request: lines that pile up are dropped and counted.
class Log {
 public:
  using Fields = nlohmann::ordered_json;

  Log();
  // Writes what is waiting.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Adds "time", "level" and "event" in front. Any thread.
  void info(std::string_view event, const Fields& fields = Fields::object()) {
    write("info", event, fields);
  }
  void warning(std::string_view event, const Fields& fields = Fields::object()) {
    write("warning", event, fields);
  }
  void error(std::string_view event, const Fields& fields = Fields::object()) {
    write("error", event, fields);
  }
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  // Waits until all is written, at most a second.
  void flush();

 private:
  void write(std::string_view level, std::string_view event, const Fields& fields);
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable written_;
  std::deque<std::string> lines_;
  bool busy_ = false;
  bool ending_ = false;
  std::atomic<std::uint64_t> dropped_{0};
  std::thread thread_;  // last: it uses the others
};

}  // namespace server
