#include "server_example/log.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <utility>

namespace server {
namespace {

constexpr std::size_t kMostLines = 10'000;

std::string now() {
  const auto time = std::chrono::system_clock::now();
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(millis / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  std::string out(text, size);
  const std::string fraction = std::to_string(1000 + millis % 1000);
  return out + "." + fraction.substr(1) + "Z";
}

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;  // nobody reads the log any more
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

Log::Log() : thread_([this] { work(); }) {}

Log::~Log() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Log::write(std::string_view level, std::string_view event, const Fields& fields) {
  Fields line{{"time", now()}, {"level", level}, {"event", event}};
  line.update(fields);
  std::string text = line.dump(-1, ' ', false, Fields::error_handler_t::replace) + "\n";
  {
    const std::lock_guard lock(mutex_);
    if (lines_.size() >= kMostLines) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    lines_.push_back(std::move(text));
  }
  changed_.notify_one();
}

void Log::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !lines_.empty(); });
    if (lines_.empty()) return;
    std::string text;
    while (!lines_.empty()) {
      text += lines_.front();
      lines_.pop_front();
    }
    busy_ = true;
    lock.unlock();
    write_all(text);
    lock.lock();
    busy_ = false;
    written_.notify_all();
  }
}

void Log::flush() {
  std::unique_lock lock(mutex_);
  written_.wait_for(lock, std::chrono::seconds(1), [this] { return lines_.empty() && !busy_; });
}

}  // namespace server
