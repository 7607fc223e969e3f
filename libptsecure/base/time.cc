#include "libptsecure/base/time.hpp"

namespace ptsecure {
namespace {

constexpr const char* kForm = "%Y-%m-%dT%H:%M:%SZ";

}  // namespace

std::string rfc3339(std::time_t time) {
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, kForm, &utc)};
}

std::string now_rfc3339() {
  return rfc3339(std::time(nullptr));
}

std::optional<std::time_t> parse_rfc3339(const std::string& text) {
  std::tm utc{};
  const char* const end = strptime(text.c_str(), kForm, &utc);
  if (end == nullptr) return std::nullopt;
  const std::time_t time = timegm(&utc);
  // What strptime lets pass, blanks and 31 February among it, is written in another way.
  if (rfc3339(time) != text) return std::nullopt;
  return time;
}

}  // namespace ptsecure
