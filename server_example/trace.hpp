#pragma once

#include <string>
#include <string_view>

namespace server {

// What ties a request to others: its own id and its place in a trace (W3C Trace Context).
struct Trace {
  std::string request_id;
  std::string trace_id;
  std::string span_id;      // of this server's part
  std::string parent_id;    // the caller's; empty when it gave none
  std::string traceparent;  // to pass on
};

// From the fields traceparent and X-Request-Id; what is missing or malformed is made anew.
Trace make_trace(std::string_view traceparent, std::string_view request_id);

}  // namespace server
