#pragma once

#include <ctime>
#include <optional>
#include <string>

namespace ptsecure {

// A time as RFC 3339 writes it, in UTC and whole seconds: "2026-01-31T23:59:59Z". Seconds since
// 1970; and of now.
std::string rfc3339(std::time_t time);
std::string now_rfc3339();

// nullopt for a text of another form, and for a day or an hour that isn't one.
std::optional<std::time_t> parse_rfc3339(const std::string& text);

}  // namespace ptsecure
