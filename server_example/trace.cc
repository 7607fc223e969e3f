#include "server_example/trace.hpp"

#include <algorithm>
#include <cstdint>
#include <random>

namespace server {
namespace {

constexpr std::size_t kLongestId = 128;
constexpr std::string_view kHex = "0123456789abcdef";

std::string random_hex(std::size_t digits) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::string out(digits, '0');
  for (char& c : out) c = kHex[random() % kHex.size()];
  out.back() = '1';  // never all zero
  return out;
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of(kHex) == std::string_view::npos;
}

bool is_zero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

// version "-" trace-id "-" parent-id "-" flags, lower-case hex; later versions may go on.
bool is_traceparent(std::string_view text) {
  if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const std::string_view version = text.substr(0, 2);
  if (!is_hex(version) || version == "ff") return false;
  if (text.size() > 55 && (version == "00" || text[55] != '-')) return false;
  const std::string_view trace = text.substr(3, 32);
  const std::string_view parent = text.substr(36, 16);
  return is_hex(trace) && is_hex(parent) && is_hex(text.substr(53, 2)) && !is_zero(trace) &&
         !is_zero(parent);
}

bool is_request_id(std::string_view text) {
  return !text.empty() && text.size() <= kLongestId &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

Trace make_trace(std::string_view traceparent, std::string_view request_id) {
  Trace trace;
  std::string flags = "00";
  if (is_traceparent(traceparent)) {
    trace.trace_id = traceparent.substr(3, 32);
    trace.parent_id = traceparent.substr(36, 16);
    flags = traceparent.substr(53, 2);
  } else {
    trace.trace_id = random_hex(32);
  }
  trace.span_id = random_hex(16);
  trace.traceparent = "00-" + trace.trace_id + "-" + trace.span_id + "-" + flags;
  trace.request_id = is_request_id(request_id) ? std::string(request_id) : random_hex(32);
  return trace;
}

}  // namespace server
