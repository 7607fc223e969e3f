#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace ptsecure {

inline constexpr int kJsonMaxDepth = 32;

// Parses untrusted JSON: duplicate member names at any level, nesting deeper than max_depth,
// invalid UTF-8, numbers out of range and trailing bytes throw Status::corrupt. The message says
// where (a byte offset), never what.
nlohmann::json parse_strict_json(std::string_view text, int max_depth = kJsonMaxDepth);

}  // namespace ptsecure
