#include "server_example/http.hpp"

#include <nlohmann/json.hpp>

namespace server {
namespace {

unsigned http_status(pts_status status) {
  switch (status) {
    case PTS_INVALID_ARGUMENT:
    case PTS_INVALID_INPUT:
      return 400;
    case PTS_NOT_FOUND:
      return 404;
    case PTS_ALREADY_EXISTS:
    case PTS_CONFLICT:
      return 409;
    case PTS_LIMIT_EXCEEDED:
      return 413;
    case PTS_INVALID_MODEL:
      return 422;
    case PTS_CANCELLED:
      return 499;
    case PTS_UNSUPPORTED:
      return 501;
    case PTS_UNTRUSTED:
    case PTS_CORRUPT:
    case PTS_NO_KEY:
    case PTS_REVOKED:
    case PTS_ROLLBACK:
    case PTS_PERMISSION_DENIED:
    case PTS_IO:
      return 502;
    case PTS_UNAVAILABLE:
    case PTS_OUT_OF_MEMORY:
    case PTS_CLOSED:
      return 503;
    case PTS_TIMEOUT:
      return 504;
    default:
      return 500;
  }
}

// What a client sent may stand in the message, and need not be UTF-8.
std::string text_of(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Answer refusal(unsigned status, std::string_view message, Headers headers) {
  Answer answer;
  answer.status = status;
  answer.body = text_of({{"error", message}});
  answer.headers = std::move(headers);
  return answer;
}

Answer refusal(const pts::Error& error) {
  Headers headers;
  const unsigned status = http_status(error.status());
  if (status == 503) headers.emplace_back("Retry-After", "1");
  Answer answer = refusal(status, error.what(), std::move(headers));
  answer.body = text_of({{"error", error.what()}, {"status", error.status_name()}});
  return answer;
}

Answer json_answer(std::string text) {
  Answer answer;
  answer.body = std::move(text);
  return answer;
}

}  // namespace server
