#include "server_example/connection.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <charconv>
#include <chrono>
#include <ctime>
#include <type_traits>

#include "server_example/trace.hpp"

namespace server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using Tls = beast::ssl_stream<beast::tcp_stream>;

constexpr std::uint32_t kLongestHead = 16 * 1024;
constexpr std::size_t kReadAhead = 64 * 1024;
constexpr std::size_t kSmallBody = 64 * 1024;  // where nothing but a short JSON object is due
constexpr std::size_t kLongestLoggedPath = 256;
constexpr std::chrono::seconds kFarewell{2};

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

// A body read into a BodyBuffer, which says no when there is no room for it.
struct BufferedBody {
  using value_type = BodyBuffer;

  class reader {
   public:
    template <bool kRequest, class Fields>
    reader(http::header<kRequest, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>& length, beast::error_code& error) {
      check(!length || body_.reserve(static_cast<std::size_t>(*length)), error);
    }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, beast::error_code& error) {
      std::size_t taken = 0;
      for (const auto buffer : beast::buffers_range_ref(buffers)) {
        check(body_.append(buffer.data(), buffer.size()), error);
        if (error) break;
        taken += buffer.size();
      }
      return taken;
    }
    void finish(beast::error_code& error) { error = {}; }

   private:
    static void check(bool fits, beast::error_code& error) {
      if (fits)
        error = {};
      else
        error = boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);
    }
    value_type& body_;
  };
};

using HeadParser = http::request_parser<http::empty_body>;
using BodyParser = http::request_parser<BufferedBody>;
using Fields = http::fields;

// Everything about one request that its log line will need.
struct Exchange {
  Clock::time_point start = Clock::now();
  Trace trace;
  RequestHead head;
  Routed routed;
  std::string key_id;
  std::size_t received = 0;
  bool keep_alive = false;
  bool unread = false;  // some of the request is still to come
};

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
std::optional<std::string> key_of(const Fields& fields) {
  constexpr std::string_view kBearer = "Bearer ";
  const std::size_t count = fields.count(http::field::authorization) + fields.count("X-API-Key");
  if (count == 0) return "";
  if (count > 1) return std::nullopt;
  if (fields.count("X-API-Key") == 1) return text_of(fields["X-API-Key"]);
  const std::string given = text_of(fields[http::field::authorization]);
  const bool bearer =
      given.size() > kBearer.size() && beast::iequals(given.substr(0, kBearer.size()), kBearer);
  if (!bearer) return std::nullopt;
  return given.substr(given.find_first_not_of(' ', kBearer.size() - 1));
}

RequestHead head_of(const http::request<http::empty_body>& request) {
  RequestHead head;
  head.method = text_of(request.method_string());
  head.target = text_of(request.target());
  head.path = path_of(head.target);
  head.host = text_of(request[http::field::host]);
  head.origin = text_of(request[http::field::origin]);
  head.key = key_of(request).value_or("");
  head.json_size = text_of(request["Inference-Header-Content-Length"]);
  return head;
}

// Framing that two servers could understand differently, and what isn't taken at all.
std::optional<Answer> check_fields(const HeadParser& parser) {
  const auto& request = parser.get();
  const std::size_t hosts = request.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && request.version() == 11)) {
    return refusal(400, "a request needs exactly one Host");
  }
  const bool chunked = request.count(http::field::transfer_encoding) != 0;
  if (request.count(http::field::content_length) > (chunked ? 0U : 1U)) {
    return refusal(400, "a request has one Content-Length, or Transfer-Encoding: chunked");
  }
  if (chunked && (request.count(http::field::transfer_encoding) > 1 || request.version() == 10 ||
                  !beast::iequals(request[http::field::transfer_encoding], "chunked"))) {
    return refusal(501, "the only Transfer-Encoding taken is chunked");
  }
  const auto coding = request[http::field::content_encoding];
  if (!coding.empty() && !beast::iequals(coding, "identity")) {
    return refusal(415, "compressed bodies are not taken", {{"Accept-Encoding", "identity"}});
  }
  const auto expect = request[http::field::expect];
  if (!expect.empty() && !beast::iequals(expect, "100-continue")) {
    return refusal(417, "the only expectation met is 100-continue");
  }
  if (request.count("Inference-Header-Content-Length") > 1) {
    return refusal(400, "Inference-Header-Content-Length is given twice");
  }
  if (!key_of(request)) {
    return refusal(400, "give one API key: Authorization: Bearer KEY, or X-API-Key: KEY");
  }
  return std::nullopt;
}

// What a failed read of a head or body is for the client; nothing when it is gone.
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

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  return {text, std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::size_t align_at(const RequestHead& head) {
  std::size_t size = 0;
  const char* end = head.json_size.data() + head.json_size.size();
  return std::from_chars(head.json_size.data(), end, size).ptr == end ? size : 0;
}

template <class Stream>
class Connection final : public Closable, public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(Stream stream, Shared& shared, std::shared_ptr<asio::ssl::context> tls,
             std::string peer)
      : shared_(shared), tls_(std::move(tls)), stream_(std::move(stream)), peer_(std::move(peer)) {
    shared_.stats.connections.fetch_add(1);
    const std::lock_guard lock(shared_.mutex);
    shared_.open.insert(this);
  }
  ~Connection() override {
    const std::lock_guard lock(shared_.mutex);
    shared_.open.erase(this);
    shared_.stats.connections.fetch_sub(1);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start() {
    auto self = this->shared_from_this();
    asio::co_spawn(stream_.get_executor(), run(std::move(self)), asio::detached);
  }

  // The caller holds the lock that the destructor takes, so `this` is whole; it may be about to go.
  void close_when_idle() override {
    asio::post(stream_.get_executor(), [weak = this->weak_from_this()] {
      const auto self = weak.lock();
      if (self && self->idle_) beast::get_lowest_layer(self->stream_).cancel();
    });
  }

 private:
  // Holds the connection while it runs.
  static asio::awaitable<void> run(std::shared_ptr<Connection> self) {
    // GCC 12 compiles co_await in the condition of a loop wrongly.
    bool open = co_await self->handshake();
    const bool greeted = open;
    while (open) open = co_await self->serve_one();
    if (greeted) co_await self->close();
  }

  asio::awaitable<bool> handshake() {
    if constexpr (std::is_same_v<Stream, Tls>) {
      limit(shared_.options.header_timeout);
      const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kTuple);
      co_return !error;
    }
    co_return true;
  }

  void limit(std::chrono::milliseconds time) {
    beast::get_lowest_layer(stream_).expires_after(time);
  }

  // Waits for the first byte of a request. False when none comes.
  asio::awaitable<bool> wait_for_request() {
    if (buffer_.size() != 0) co_return true;
    if (shared_.draining) co_return false;
    limit(shared_.options.idle_timeout);
    idle_ = true;
    const auto [error, count] = co_await stream_.async_read_some(buffer_.prepare(4096), kTuple);
    idle_ = false;
    buffer_.commit(error ? 0 : count);
    co_return !error;
  }

  // False when the connection is to end.
  asio::awaitable<bool> serve_one() {
    const bool came = co_await wait_for_request();
    if (!came) co_return false;
    Exchange exchange;
    HeadParser parser;
    parser.header_limit(kLongestHead);
    parser.body_limit(boost::none);
    limit(shared_.options.header_timeout);
    const auto [error, count] = co_await http::async_read_header(stream_, buffer_, parser, kTuple);
    if (error) {
      auto answer = explain(error);
      if (!answer) co_return false;
      exchange.unread = true;
      exchange.trace = make_trace({}, {});
      co_await send(exchange, std::move(*answer));
      co_return false;
    }
    const auto& request = parser.get();
    exchange.head = head_of(request);
    exchange.trace = make_trace(text_of(request["traceparent"]), text_of(request["X-Request-Id"]));
    exchange.keep_alive = request.keep_alive();
    exchange.head.body_size = parser.content_length().value_or(0);
    exchange.unread = !parser.is_done() && (parser.chunked() || exchange.head.body_size != 0);
    auto answer = co_await admit(parser, exchange);
    if (!answer) answer = co_await take(parser, exchange);
    const bool more = co_await send(exchange, std::move(*answer));
    co_return more;
  }

  // All that can be said before the body has come; nothing when it may come.
  asio::awaitable<std::optional<Answer>> admit(const HeadParser& parser, Exchange& exchange) {
    const RequestHead& head = exchange.head;
    auto answer = check_fields(parser);
    if (!answer) answer = shared_.service.check_origin(head);
    if (answer) co_return answer;
    exchange.routed = find_route(head.method, head.path);
    if (!exchange.routed.route) {
      Headers headers;
      if (!exchange.routed.allow.empty()) headers.emplace_back("Allow", exchange.routed.allow);
      co_return refusal(exchange.routed.status, exchange.routed.error, std::move(headers));
    }
    const Route& route = *exchange.routed.route;
    Auth::Verdict verdict;
    if (shared_.auth.quick(route, head)) {
      verdict = shared_.auth.check(route, head);
    } else {
      auto checked = co_await shared_.keys.run(
          [this, &route, &head] { return shared_.auth.check(route, head); });
      if (!checked) co_return busy();
      verdict = std::move(*checked);
    }
    exchange.key_id = verdict.id;
    if (verdict.refused) co_return std::move(verdict.refused);
    if (head.body_size > body_limit(route)) co_return too_large(route);
    if (Service::lane(route.action) == Service::Lane::infer && shared_.infer.full()) {
      shared_.service.count_rejected(route);
      co_return busy();
    }
    co_return std::nullopt;
  }

  std::size_t body_limit(const Route& route) const {
    return Service::takes_body(route.action) ? shared_.options.max_body : kSmallBody;
  }
  Answer too_large(const Route& route) const {
    return refusal(413,
                   "the body is over the limit of " + std::to_string(body_limit(route)) + " bytes");
  }
  static Answer busy() {
    return refusal(503, "too many requests are waiting; try again", {{"Retry-After", "1"}});
  }

  // Reads the body and has the request answered.
  asio::awaitable<std::optional<Answer>> take(HeadParser& head_parser, Exchange& exchange) {
    const Route& route = *exchange.routed.route;
    limit(shared_.options.body_timeout);
    if (exchange.unread && !head_parser.get()[http::field::expect].empty()) {
      http::response<http::empty_body> go_on(http::status::continue_, 11);
      const auto [error, count] = co_await http::async_write(stream_, go_on, kTuple);
      if (error) co_return refusal(408, "the client went away");
    }
    BodyParser parser(std::move(head_parser), BodyBuffer(shared_.budget, align_at(exchange.head)));
    parser.body_limit(body_limit(route));
    const auto [error, count] = co_await http::async_read(stream_, buffer_, parser, kTuple);
    if (error) {
      exchange.keep_alive = false;
      if (error == http::error::body_limit) co_return too_large(route);
      auto answer = explain(error);
      co_return answer ? std::move(answer) : refusal(400, "the body ended too early");
    }
    exchange.unread = false;
    Body body = parser.get().body().take();
    exchange.received = body.size;
    shared_.stats.received_bytes.fetch_add(body.size);
    if (body.size > exchange.head.body_size) {
      shared_.auth.charge(exchange.key_id, body.size - exchange.head.body_size);
    }
    auto answer = co_await handle(route, exchange, std::move(body));
    co_return answer;
  }

  asio::awaitable<std::optional<Answer>> handle(const Route& route, const Exchange& exchange,
                                                Body body) {
    const auto arrived = Clock::now();
    const auto work = [this, &route, &exchange, arrived, body = std::move(body)] {
      return shared_.service.handle(route, exchange.head, body, Clock::now() - arrived);
    };
    const Service::Lane lane = Service::lane(route.action);
    if (lane == Service::Lane::here) co_return work();
    Lane& threads = lane == Service::Lane::infer ? shared_.infer : shared_.store;
    auto answer = co_await threads.run(work);
    if (!answer) {
      shared_.service.count_rejected(route);
      co_return busy();
    }
    co_return answer;
  }

  asio::awaitable<bool> send(Exchange& exchange, Answer answer) {
    const std::string_view text = answer.text();
    shared_.budget.add(text.size());
    const Share share(shared_.budget, text.size());
    // What is unread would be taken for the next request.
    const bool keep = exchange.keep_alive && !exchange.unread && !shared_.draining;
    http::response<http::span_body<const char>> response(
        http::status::ok, 11, beast::span<const char>(text.data(), text.size()));
    response.result(answer.status);
    response.set(http::field::server, "ptsecure-server");
    response.set(http::field::date, http_date());
    response.set(http::field::content_type, to_beast(answer.content_type));
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("X-Request-Id", exchange.trace.request_id);
    response.set("traceparent", exchange.trace.traceparent);
    for (const auto& [name, value] : answer.headers) response.set(to_beast(name), value);
    response.keep_alive(keep);
    response.prepare_payload();
    limit(shared_.options.write_timeout);
    const auto [error, count] = co_await http::async_write(stream_, response, kTuple);
    note(exchange, answer, text.size(), static_cast<bool>(error));
    lingering_ = !error && exchange.unread;
    co_return keep && !error;
  }

  static beast::string_view to_beast(std::string_view text) { return {text.data(), text.size()}; }

  void note(const Exchange& exchange, const Answer& answer, std::size_t sent, bool broken) {
    if (answer.status < shared_.stats.answers.size()) {
      shared_.stats.answers[answer.status].fetch_add(1);
    }
    shared_.stats.sent_bytes.fetch_add(sent);
    if (shared_.options.no_access_log) return;
    const auto time = std::chrono::duration<double, std::milli>(Clock::now() - exchange.start);
    Log::Fields fields{{"request_id", exchange.trace.request_id},
                       {"trace_id", exchange.trace.trace_id},
                       {"span_id", exchange.trace.span_id},
                       {"remote", peer_},
                       {"method", exchange.head.method},
                       {"path", exchange.head.path.substr(0, kLongestLoggedPath)},
                       {"status", answer.status},
                       {"received", exchange.received},
                       {"sent", sent},
                       {"ms", time.count()}};
    if (!exchange.trace.parent_id.empty()) fields["parent_id"] = exchange.trace.parent_id;
    if (!exchange.key_id.empty()) fields["key"] = exchange.key_id;
    if (!answer.model.empty()) {
      fields["model"] = answer.model;
      fields["version"] = answer.version;
    }
    if (broken) fields["broken"] = true;
    shared_.log.info("request", std::move(fields));
  }

  // Says good-bye. A client that is still sending must get to read the answer first: closing on
  // unread bytes would reset the connection.
  asio::awaitable<void> close() {
    auto& socket = beast::get_lowest_layer(stream_);
    limit(kFarewell);
    if constexpr (std::is_same_v<Stream, Tls>) {
      co_await stream_.async_shutdown(kTuple);  // whatever it says, the end is the same
    }
    beast::error_code ignored;
    socket.socket().shutdown(tcp::socket::shutdown_send, ignored);
    std::size_t left = lingering_ ? std::size_t{1} << 20 : 0;
    char scrap[4096];
    while (left > 0) {
      const auto [error, count] = co_await socket.async_read_some(asio::buffer(scrap), kTuple);
      if (error) break;
      left -= std::min(left, count);
    }
    socket.close();
  }

  Shared& shared_;
  std::shared_ptr<asio::ssl::context> tls_;  // outlives the stream
  Stream stream_;
  std::string peer_;
  beast::flat_buffer buffer_{kReadAhead};
  bool idle_ = false;
  bool lingering_ = false;
};

}  // namespace

void serve(tcp::socket socket, Shared& shared, std::shared_ptr<asio::ssl::context> tls) {
  beast::error_code error;
  socket.set_option(tcp::no_delay(true), error);
  const auto remote = socket.remote_endpoint(error);
  std::string peer = error ? "" : remote.address().to_string();
  if (tls) {
    Tls stream(std::move(socket), *tls);
    std::make_shared<Connection<Tls>>(std::move(stream), shared, std::move(tls), std::move(peer))
        ->start();
  } else {
    beast::tcp_stream stream(std::move(socket));
    std::make_shared<Connection<beast::tcp_stream>>(std::move(stream), shared, nullptr,
                                                    std::move(peer))
        ->start();
  }
}

}  // namespace server
