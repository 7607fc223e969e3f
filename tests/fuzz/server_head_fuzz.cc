#include <boost/asio/buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "server_example/request.hpp"
#include "server_example/router.hpp"

// What a client sends before its body, read as on a connection: refused with an answer that can be
// sent, or led to where a request made from what was understood is led too.

using namespace server;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_refusal(const Answer& answer) {
  check(answer.status >= 400 && answer.status < 600);
  check(nlohmann::json::parse(answer.text()).at("error").is_string());
}

std::string escape(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

void check_route(const RequestHead& head) {
  const Routed routed = find_route(head.method, head.path);
  if (!routed.route) return check(routed.status >= 400 && routed.status < 500);
  const Route& route = *routed.route;
  check(route.model.find('\0') == std::string::npos);
  if (route.action != Action::infer) return;
  std::string path = "/v2/models/" + escape(route.model);
  if (route.version) path += "/versions/" + std::to_string(*route.version);
  const Routed again = find_route("POST", path + "/infer");
  check(again.route && again.route->action == Action::infer && again.route->model == route.model &&
        again.route->version == route.version);
}

void check_trace(const Trace& trace) {
  check(trace.traceparent.size() == 55 && trace.trace_id.size() == 32);
  check(make_trace(trace.traceparent, trace.request_id).trace_id == trace.trace_id);
  check(make_trace({}, trace.request_id).request_id == trace.request_id);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  HeadParser parser;
  limit_head(parser);
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(data, size), error);
  if (error) {
    if (const auto answer = explain(error)) check_refusal(*answer);
    return 0;
  }
  if (!parser.is_header_done()) return 0;
  const RequestHead head = head_of(parser);
  check_trace(trace_of(parser));
  if (const auto answer = check_fields(parser)) {
    check_refusal(*answer);
    return 0;
  }
  check_route(head);
  return 0;
}
