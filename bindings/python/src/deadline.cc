#include "deadline.hpp"

#include <pybind11/stl.h>

#include <string>

#include "binding.hpp"

namespace binding {
namespace {

// Longer ones never pass, and would overflow the clock.
constexpr double kCentury = 100.0 * 366 * 24 * 3600;

std::string text(double seconds) {
  return py::str(py::float_(seconds)).cast<std::string>();
}

}  // namespace

Deadline::Deadline(std::optional<double> seconds) {
  if (!seconds) return;
  if (!(*seconds > 0)) {  // NaN too
    raise(PTS_INVALID_ARGUMENT,
          "timeout is a positive number of seconds, or None for no limit, "
          "not " +
              text(*seconds));
  }
  if (*seconds > kCentury) return;
  seconds_ = seconds;
  end_ = Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*seconds));
}

std::chrono::milliseconds Deadline::left() const {
  using std::chrono::milliseconds;
  if (!seconds_) return milliseconds(0);
  const auto left = std::chrono::ceil<milliseconds>(end_ - Clock::now());
  if (left.count() <= 0) {
    raise(PTS_TIMEOUT, "the operation did not end within the " + text(*seconds_) +
                           " s of its timeout; allow it more time");
  }
  return left;
}

void add_deadline(py::module_& module) {
  py::class_<Deadline>(module, "Deadline").def(py::init<std::optional<double>>());
}

}  // namespace binding
