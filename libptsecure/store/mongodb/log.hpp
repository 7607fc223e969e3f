#pragma once

#include <string>
#include <utility>
#include <vector>

#include "libptsecure/base/log_sink.hpp"

namespace ptsecure::mongodb {

// Keeps what libmongoc logs about our own calls off the host's terminal: while one of these lives,
// messages of this thread are collected instead of printed and go to `sink` when it ends.
//
// libmongoc has one log handler per process and prints to stdout and stderr without one, also about
// such ordinary things as a wrong password. A handler that the host has set is left alone and gets
// everything. Only where it has set none do we put one in place: it passes the host's own messages
// on to libmongoc's default handler, so that nothing changes for the host.
class QuietLog {
 public:
  explicit QuietLog(const LogSink& sink);
  ~QuietLog();
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;

  void collect(LogLevel level, const char* message) noexcept;
  // Forgets what was collected: it may quote what must not be shown.
  void discard() noexcept { messages_.clear(); }

 private:
  const LogSink& sink_;
  QuietLog* outer_;
  std::vector<std::pair<LogLevel, std::string>> messages_;
};

// Opens libmongoc and puts the filter in place where it belongs. Before the first QuietLog.
void initialise();

}  // namespace ptsecure::mongodb
