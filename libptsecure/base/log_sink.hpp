#pragma once

#include <functional>
#include <string_view>

namespace ptsecure {

enum class LogLevel : int { error = 1, warning = 2, info = 3, debug = 4 };

// Where a store and what was opened from it report to; empty = silent. Called from any thread,
// possibly several at once; must not throw. Messages hold no secret.
using LogSink = std::function<void(LogLevel, std::string_view)>;

}  // namespace ptsecure
