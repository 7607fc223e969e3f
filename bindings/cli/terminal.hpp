#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace cli {

// A progress bar on standard error with rate and time left; silent unless that is a terminal.
class ProgressBar {
 public:
  // `enabled`: false with --json or --quiet.
  ProgressBar(std::string label, bool enabled);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(std::uint64_t done, std::uint64_t total);
  // Takes the bar off the screen, so that something else can be printed.
  void clear();

 private:
  std::string label_;
  bool enabled_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// "1.2 MB": decimal units, three digits at the most.
std::string human_size(std::uint64_t bytes);

std::string joined(const std::vector<std::string>& texts, const char* separator);

// Reads a passphrase from the terminal without showing it.
std::string ask_passphrase(const std::string& prompt);

bool stdin_is_terminal();
bool stderr_is_terminal();

}  // namespace cli
