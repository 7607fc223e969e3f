#include "bindings/cli/terminal.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <stdexcept>

#include "ptsecure/ptsecure.hpp"

namespace cli {
namespace {

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string time_left(double seconds) {
  if (!(seconds >= 0 && seconds <= 359999)) return "--:--";
  const auto whole = static_cast<unsigned>(std::lround(seconds));
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%02u:%02u", whole / 60, whole % 60);
  return text.data();
}

// While it lives, nothing typed is shown, and Ctrl-C waits for wait_for_line.
class NoEcho {
 public:
  NoEcho() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0)
      throw std::runtime_error("no terminal to ask for the passphrase on; set PTSECURE_PASSPHRASE");
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &mask_);
  }
  ~NoEcho() {
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

  // False after Ctrl-C.
  bool wait_for_line() const {
    pollfd in{STDIN_FILENO, POLLIN, 0};
    return ppoll(&in, 1, nullptr, &mask_) >= 0 || errno != EINTR;
  }

 private:
  termios before_{};
  sigset_t mask_{};
};

}  // namespace

bool stdin_is_terminal() {
  return isatty(STDIN_FILENO) == 1;
}
bool stderr_is_terminal() {
  return isatty(STDERR_FILENO) == 1;
}

std::string joined(const std::vector<std::string>& texts, const char* separator) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : separator) + text;
  return out;
}

std::string human_size(std::uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 999.5 && unit + 1 < kUnits.size()) {
    size /= 1000;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(),
                unit == 0 || size >= 99.95 ? "%.0f %s"
                : size >= 9.995            ? "%.1f %s"
                                           : "%.2f %s",
                size, kUnits[unit]);
  return text.data();
}

ProgressBar::ProgressBar(std::string label, bool enabled)
    : label_(std::move(label)), enabled_(enabled && stderr_is_terminal()) {}

ProgressBar::~ProgressBar() {
  clear();
}

void ProgressBar::clear() {
  if (drawn_) std::cerr << "\r\033[K" << std::flush;
  drawn_ = false;
}

void ProgressBar::update(std::uint64_t done, std::uint64_t total) {
  if (!enabled_ || total == 0) return;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const double left = rate > 0 ? static_cast<double>(total - done) / rate : 1e9;
  const std::string text = " " + human_size(done) + " of " + human_size(total) + "  " +
                           human_size(static_cast<std::uint64_t>(rate)) + "/s  " + time_left(left) +
                           " left";
  const std::size_t used = label_.size() + text.size() + 4;
  const std::size_t width = std::clamp<std::size_t>(terminal_width(), used + 5, used + 40) - used;
  const auto filled = static_cast<std::size_t>(
      static_cast<double>(width) * static_cast<double>(done) / static_cast<double>(total));
  std::cerr << '\r' << label_ << " [" << std::string(filled, '#')
            << std::string(width - filled, '.') << ']' << text << "\033[K" << std::flush;
  drawn_ = true;
}

std::string ask_passphrase(const std::string& prompt) {
  const NoEcho quiet;
  std::cerr << prompt << ": " << std::flush;
  const bool interrupted = !quiet.wait_for_line();
  std::string line;
  if (!interrupted) std::getline(std::cin, line);
  std::cerr << '\n';
  if (interrupted) throw pts::Cancelled(PTS_CANCELLED, "interrupted");
  return line;
}

}  // namespace cli
