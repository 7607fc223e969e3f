#include "server_example/request.hpp"

#include <algorithm>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>

namespace server {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr auto kJsonSize = "Inference-Header-Content-Length";
constexpr auto kApiKey = "X-API-Key";

std::string text_of(beast::string_view text) {
  return {text.data(), text.size()};
}

// "http://host/path?query" and "/path?query" alike.
std::string path_of(std::string_view target) {
  const std::size_t scheme = target.starts_with('/') ? std::string_view::npos : target.find("://");
  if (scheme != std::string_view::npos) {
    target.remove_prefix(scheme + 3);
    const std::size_t slash = target.find_first_of("/?#");
    if (slash == std::string_view::npos || target[slash] != '/') return "/";
    target.remove_prefix(slash);
  }
  return std::string(target.substr(0, target.find_first_of("?#")));
}

// The key of a request, or nothing when it gives several or in another scheme.
std::optional<std::string> key_of(const http::fields& fields) {
  constexpr std::string_view kBearer = "Bearer ";
  const std::size_t count = fields.count(http::field::authorization) + fields.count(kApiKey);
  if (count == 0) return "";
  if (count > 1) return std::nullopt;
  if (fields.count(kApiKey) == 1) return text_of(fields[kApiKey]);
  const std::string given = text_of(fields[http::field::authorization]);
  const bool bearer =
      given.size() > kBearer.size() && beast::iequals(given.substr(0, kBearer.size()), kBearer);
  if (!bearer) return std::nullopt;
  const std::size_t start = given.find_first_not_of(' ', kBearer.size());
  return start == std::string::npos ? std::nullopt : std::optional(given.substr(start));
}

// Beast takes the list "5, 5" for 5, and others don't.
bool is_plain_number(beast::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<std::uint64_t> json_size_of(const http::fields& fields) {
  const auto field = fields.find(kJsonSize);
  if (field == fields.end()) return std::nullopt;
  const beast::string_view text = field->value();
  std::uint64_t size = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), size);
  const bool whole = is_plain_number(text) && read.ec == std::errc();
  return whole ? size : std::numeric_limits<std::uint64_t>::max();
}

std::optional<Answer> check_framing(const HeadParser& parser) {
  const auto& request = parser.get();
  const std::size_t hosts = request.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && request.version() == 11)) {
    return refusal(400, "a request needs exactly one Host");
  }
  const std::size_t codings = request.count(http::field::transfer_encoding);
  const std::size_t lengths = request.count(http::field::content_length);
  if (lengths > (codings == 0 ? 1U : 0U) ||
      (lengths == 1 && !is_plain_number(request[http::field::content_length]))) {
    return refusal(400, "a request has one Content-Length, or Transfer-Encoding: chunked");
  }
  if (codings != 0 && (codings > 1 || request.version() == 10 ||
                       !beast::iequals(request[http::field::transfer_encoding], "chunked"))) {
    return refusal(501, "the only Transfer-Encoding taken is chunked");
  }
  return std::nullopt;
}

}  // namespace

void limit_head(HeadParser& parser) {
  parser.header_limit(kLongestHead);
  parser.body_limit(boost::none);  // set for the body alone
}

RequestHead head_of(const HeadParser& parser) {
  const auto& request = parser.get();
  RequestHead head;
  head.method = text_of(request.method_string());
  head.target = text_of(request.target());
  head.path = path_of(head.target);
  head.host = text_of(request[http::field::host]);
  head.origin = text_of(request[http::field::origin]);
  head.wants_page = text_of(request[http::field::accept]).find("text/html") != std::string::npos;
  head.key = key_of(request).value_or("");
  head.json_size = json_size_of(request);
  head.body_size = parser.content_length().value_or(0);
  return head;
}

Trace trace_of(const HeadParser& parser) {
  const auto& request = parser.get();
  return make_trace(text_of(request["traceparent"]), text_of(request["X-Request-Id"]));
}

std::optional<Answer> check_fields(const HeadParser& parser) {
  if (auto refused = check_framing(parser)) return refused;
  const auto& request = parser.get();
  const auto coding = request[http::field::content_encoding];
  if (!coding.empty() && !beast::iequals(coding, "identity")) {
    return refusal(415, "compressed bodies are not taken", {{"Accept-Encoding", "identity"}});
  }
  const auto expect = request[http::field::expect];
  if (!expect.empty() && !beast::iequals(expect, "100-continue")) {
    return refusal(417, "the only expectation met is 100-continue");
  }
  if (request.count(kJsonSize) > 1) {
    return refusal(400, "Inference-Header-Content-Length is given twice");
  }
  if (!key_of(request)) {
    return refusal(400, "give one API key: Authorization: Bearer KEY, or X-API-Key: KEY");
  }
  return std::nullopt;
}

bool expects_continue(const HeadParser& parser) {
  return !parser.get()[http::field::expect].empty();
}

std::optional<Answer> explain(const beast::error_code& error) {
  if (error == beast::error::timeout) return refusal(408, "the request took too long to arrive");
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return refusal(431, "the head of the request is over 16 KiB");
  }
  if (error == http::error::body_limit) return refusal(413, "the body is over the limit");
  if (error == boost::system::errc::not_enough_memory) {
    return refusal(503, "the server holds as many bytes as it may; try again",
                   {{"Retry-After", "1"}});
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return {};
  if (error.category() == make_error_code(http::error::bad_method).category()) {
    return refusal(400, "this is not a valid HTTP/1.1 request: " + error.message());
  }
  return std::nullopt;
}

}  // namespace server
