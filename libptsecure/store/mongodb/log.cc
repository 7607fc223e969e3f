#include "libptsecure/store/mongodb/log.hpp"

#include <mutex>

#include "libptsecure/store/mongodb/driver.hpp"

namespace ptsecure::mongodb {
namespace {

thread_local QuietLog* current_log = nullptr;

LogLevel level_of(mongoc_log_level_t level) {
  switch (level) {
    case MONGOC_LOG_LEVEL_ERROR:
    case MONGOC_LOG_LEVEL_CRITICAL:
      return LogLevel::error;
    case MONGOC_LOG_LEVEL_WARNING:
      return LogLevel::warning;
    case MONGOC_LOG_LEVEL_MESSAGE:
    case MONGOC_LOG_LEVEL_INFO:
      return LogLevel::info;
    default:
      return LogLevel::debug;
  }
}

void filter(mongoc_log_level_t level, const char* domain, const char* message, void*) {
  if (current_log) {
    current_log->collect(level_of(level), message);
  } else {
    mongoc_log_default_handler(level, domain, message, nullptr);
  }
}

// Without a way to know whether the host has set a handler, everything is left as it is.
void install_filter() {
  if (mongoc_log_get_handler.get() == nullptr) return;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  mongoc_log_func_t handler = nullptr;
  void* user_data = nullptr;
  mongoc_log_get_handler(&handler, &user_data);
  if (handler == mongoc_log_default_handler.get()) mongoc_log_set_handler(filter, nullptr);
}

}  // namespace

void initialise() {
  open_driver();
  install_filter();
}

QuietLog::QuietLog(const LogSink& sink) : sink_(sink), outer_(current_log) {
  current_log = this;
}

QuietLog::~QuietLog() {
  current_log = outer_;
  if (!sink_) return;
  for (const auto& [level, message] : messages_) sink_(level, message);
}

void QuietLog::collect(LogLevel level, const char* message) noexcept {
  if (!sink_) return;
  try {
    messages_.emplace_back(level, "libmongoc: " + std::string(message));
  } catch (...) {  // libmongoc's C frames are above us; a lost message is the smaller harm
  }
}

}  // namespace ptsecure::mongodb
