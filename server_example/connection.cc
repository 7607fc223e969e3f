#include "server_example/connection.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <ctime>
#include <type_traits>

#include "server_example/request.hpp"

namespace server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using Tls = beast::ssl_stream<beast::tcp_stream>;

constexpr std::size_t kReadAhead = 64 * 1024;
constexpr std::size_t kSmallBody = 64 * 1024;  // where nothing but a short JSON object is due
constexpr std::size_t kLongestLoggedPath = 256;
constexpr std::size_t kMostLingered = std::size_t{1} << 20;
constexpr std::chrono::seconds kFarewell{2};

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

using BodyParser = http::request_parser<BufferedBody>;
using Response = http::response<http::span_body<const char>>;

// One request and its answer.
struct Exchange {
  Clock::time_point start = Clock::now();
  HeadParser head_parser;
  std::optional<BodyParser> body_parser;
  Trace trace;
  RequestHead head;
  Route route;
  std::string key_id;
  Clock::time_point arrived;  // all of it
  std::size_t received = 0;
  bool keep_alive = false;
  bool unread = false;  // some of the request is still to come
  Answer answer;
  Share share;
  Response response;
};

beast::string_view to_beast(std::string_view text) {
  return {text.data(), text.size()};
}

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  return {text, std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

Answer busy() {
  return refusal(503, "too many requests are waiting; try again", {{"Retry-After", "1"}});
}

Log::Fields log_line(const Exchange& exchange, const std::string& peer, std::size_t sent,
                     bool broken) {
  const auto time = std::chrono::duration<double, std::milli>(Clock::now() - exchange.start);
  Log::Fields fields{{"request_id", exchange.trace.request_id},
                     {"trace_id", exchange.trace.trace_id},
                     {"span_id", exchange.trace.span_id},
                     {"remote", peer},
                     {"method", exchange.head.method},
                     {"path", exchange.head.path.substr(0, kLongestLoggedPath)},
                     {"status", exchange.answer.status},
                     {"received", exchange.received},
                     {"sent", sent},
                     {"ms", time.count()}};
  if (!exchange.trace.parent_id.empty()) fields["parent_id"] = exchange.trace.parent_id;
  if (!exchange.key_id.empty()) fields["key"] = exchange.key_id;
  if (!exchange.answer.model.empty()) {
    fields["model"] = exchange.answer.model;
    fields["version"] = exchange.answer.version;
  }
  if (broken) fields["broken"] = true;
  return fields;
}

// Runs on its stream's strand; whatever it waits for holds it. Each step starts the next one:
//   handshake, next_request, read_head, authorize, read_body, answer, send, next_request, ...
//   finish
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
    asio::dispatch(stream_.get_executor(),
                   [self = this->shared_from_this()] { self->handshake(); });
  }

  // The caller holds the lock that the destructor takes, so `this` is whole; it may be about to go.
  void close_when_idle() override {
    asio::post(stream_.get_executor(), [weak = this->weak_from_this()] {
      const auto self = weak.lock();
      if (self && self->idle_) beast::get_lowest_layer(self->stream_).cancel();
    });
  }

 private:
  using Error = beast::error_code;

  // Completion handlers that hold the connection.
  auto then(void (Connection::*next)(const Error&)) {
    return
        [self = this->shared_from_this(), next](const Error& error) { (self.get()->*next)(error); };
  }
  auto then(void (Connection::*next)(const Error&, std::size_t)) {
    return [self = this->shared_from_this(), next](const Error& error, std::size_t count) {
      (self.get()->*next)(error, count);
    };
  }

  void limit(std::chrono::milliseconds time) {
    beast::get_lowest_layer(stream_).expires_after(time);
  }

  void handshake() {
    if constexpr (std::is_same_v<Stream, Tls>) {
      limit(shared_.options.header_timeout);
      stream_.async_handshake(asio::ssl::stream_base::server, then(&Connection::on_handshake));
    } else {
      next_request();
    }
  }
  void on_handshake(const Error& error) {
    if (!error) next_request();
  }

  void next_request() {
    exchange_.reset();
    if (buffer_.size() != 0) return read_head();
    if (shared_.draining) return finish();
    // A new connection is there to ask at once.
    limit(greeted_ ? shared_.options.idle_timeout : shared_.options.header_timeout);
    greeted_ = true;
    idle_ = true;
    stream_.async_read_some(buffer_.prepare(4096), then(&Connection::on_first_bytes));
  }
  void on_first_bytes(const Error& error, std::size_t count) {
    idle_ = false;
    if (error) return finish();
    buffer_.commit(count);
    read_head();
  }

  void read_head() {
    exchange_ = std::make_unique<Exchange>();
    limit_head(exchange_->head_parser);
    limit(shared_.options.header_timeout);
    http::async_read_header(stream_, buffer_, exchange_->head_parser, then(&Connection::on_head));
  }
  void on_head(const Error& error, std::size_t) {
    Exchange& exchange = *exchange_;
    if (error) {
      auto answer = explain(error);
      if (!answer) return finish();
      exchange.unread = true;
      exchange.trace = make_trace({}, {});
      return send(std::move(*answer));
    }
    const HeadParser& parser = exchange.head_parser;
    exchange.head = head_of(parser);
    exchange.trace = trace_of(parser);
    if (auto refused = check_fields(parser)) {
      exchange.unread = true;  // nobody knows what follows
      return send(std::move(*refused));
    }
    exchange.keep_alive = parser.get().keep_alive();
    exchange.unread = !parser.is_done() && (parser.chunked() || exchange.head.body_size != 0);
    find_out();
  }

  // Where it leads, and whether the caller may go there.
  void find_out() {
    const RequestHead& head = exchange_->head;
    if (auto refused = shared_.service.check_origin(head)) return send(std::move(*refused));
    Routed routed = find_route(head.method, head.path);
    if (!routed.route) {
      Headers headers;
      if (!routed.allow.empty()) headers.emplace_back("Allow", routed.allow);
      return send(refusal(routed.status, routed.error, std::move(headers)));
    }
    exchange_->route = std::move(*routed.route);
    if (shared_.auth.quick(exchange_->route, head)) return on_verdict(check_key());
    const bool taken = shared_.keys.run([self = this->shared_from_this()] {
      asio::post(self->stream_.get_executor(), [self, verdict = self->check_key()]() mutable {
        self->on_verdict(std::move(verdict));
      });
    });
    if (!taken) send(busy());
  }
  Auth::Verdict check_key() const {
    try {
      return shared_.auth.check(exchange_->route, exchange_->head);
    } catch (const std::exception& error) {
      return {refusal(500, error.what()), {}};
    }
  }
  void on_verdict(Auth::Verdict verdict) {
    const Route& route = exchange_->route;
    exchange_->key_id = verdict.id;
    if (verdict.refused) return send(std::move(*verdict.refused));
    if (exchange_->head.body_size > body_limit()) return send(too_large());
    if (Service::lane(route.action) == Service::Lane::infer && shared_.infer.full()) {
      shared_.service.count_rejected(route);
      return send(busy());
    }
    limit(shared_.options.body_timeout);
    if (!exchange_->unread || !expects_continue(exchange_->head_parser)) return read_body();
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(kContinue), then(&Connection::on_continue));
  }
  void on_continue(const Error& error, std::size_t) {
    if (!error) read_body();
  }

  std::size_t body_limit() const {
    return Service::takes_body(exchange_->route.action) ? shared_.options.max_body : kSmallBody;
  }
  Answer too_large() const {
    return refusal(413, "the body is over the limit of " + std::to_string(body_limit()) + " bytes");
  }

  void read_body() {
    Exchange& exchange = *exchange_;
    exchange.body_parser.emplace(std::move(exchange.head_parser),
                                 BodyBuffer(shared_.budget, exchange.head.json_size.value_or(0)));
    exchange.body_parser->body_limit(body_limit());
    http::async_read(stream_, buffer_, *exchange.body_parser, then(&Connection::on_body));
  }
  void on_body(const Error& error, std::size_t) {
    Exchange& exchange = *exchange_;
    if (error) {
      exchange.unread = true;
      if (error == http::error::body_limit) return send(too_large());
      auto answer = explain(error);
      return send(answer ? std::move(*answer) : refusal(400, "the body ended too early"));
    }
    exchange.unread = false;
    exchange.arrived = Clock::now();
    Body body = exchange.body_parser->get().body().take();
    exchange.received = body.size;
    shared_.stats.received_bytes.fetch_add(body.size);
    if (body.size > exchange.head.body_size) {
      shared_.auth.charge(exchange.key_id, body.size - exchange.head.body_size);
    }
    answer(std::move(body));
  }

  void answer(Body body) {
    const Service::Lane lane = Service::lane(exchange_->route.action);
    if (lane == Service::Lane::here) return send(handle(body));
    Lane& threads = lane == Service::Lane::infer ? shared_.infer : shared_.store;
    const bool taken =
        threads.run([self = this->shared_from_this(), body = std::move(body)]() mutable {
          Answer answer = self->handle(body);
          body = {};
          asio::post(self->stream_.get_executor(), [self, answer = std::move(answer)]() mutable {
            self->send(std::move(answer));
          });
        });
    if (taken) return;
    shared_.service.count_rejected(exchange_->route);
    send(busy());
  }
  Answer handle(const Body& body) const {
    return shared_.service.handle(exchange_->route, exchange_->head, body,
                                  Clock::now() - exchange_->arrived);
  }

  void send(Answer answer) {
    Exchange& exchange = *exchange_;
    exchange.answer = std::move(answer);
    const std::string_view text = exchange.answer.text();
    const bool bodiless = exchange.head.method == "HEAD";  // its answer only tells the size
    shared_.budget.add(text.size());
    exchange.share = Share(shared_.budget, text.size());
    Response& response = exchange.response;
    response.result(exchange.answer.status);
    response.body() = beast::span<const char>(text.data(), bodiless ? 0 : text.size());
    response.set(http::field::server, "ptsecure-server");
    response.set(http::field::date, http_date());
    response.set(http::field::content_type, to_beast(exchange.answer.content_type));
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("X-Request-Id", exchange.trace.request_id);
    response.set("traceparent", exchange.trace.traceparent);
    for (const auto& [name, value] : exchange.answer.headers) response.set(to_beast(name), value);
    // What is unread would be taken for the next request.
    response.keep_alive(exchange.keep_alive && !exchange.unread && !shared_.draining);
    response.content_length(text.size());
    limit(shared_.options.write_timeout);
    http::async_write(stream_, response, then(&Connection::on_sent));
  }
  void on_sent(const Error& error, std::size_t) {
    const std::size_t sent = exchange_->response.body().size();
    shared_.stats.count(exchange_->answer.status, sent);
    if (!shared_.options.no_access_log) {
      shared_.log.info("request", log_line(*exchange_, peer_, sent, static_cast<bool>(error)));
    }
    if (error) return;
    if (exchange_->response.keep_alive()) return next_request();
    to_linger_ = exchange_->unread ? kMostLingered : 0;
    exchange_.reset();
    finish();
  }

  // Says good-bye. A client that is still sending must get to read the answer first: closing on
  // unread bytes would reset the connection.
  void finish() {
    limit(kFarewell);
    if constexpr (std::is_same_v<Stream, Tls>) {
      stream_.async_shutdown(then(&Connection::on_shutdown));
    } else {
      on_shutdown({});
    }
  }
  void on_shutdown(const Error&) {  // whatever it says, the end is the same
    Error ignored;
    auto& socket = beast::get_lowest_layer(stream_).socket();
    static_cast<void>(socket.shutdown(tcp::socket::shutdown_send, ignored));
    linger({}, 0);
  }
  void linger(const Error& error, std::size_t count) {
    to_linger_ -= std::min(to_linger_, count);
    if (error || to_linger_ == 0) return;
    beast::get_lowest_layer(stream_).async_read_some(asio::buffer(scrap_),
                                                     then(&Connection::linger));
  }

  Shared& shared_;
  std::shared_ptr<asio::ssl::context> tls_;  // outlives the stream
  Stream stream_;
  std::string peer_;
  beast::flat_buffer buffer_{kReadAhead};
  std::unique_ptr<Exchange> exchange_;
  bool greeted_ = false;
  bool idle_ = false;
  std::size_t to_linger_ = 0;
  std::array<char, 4096> scrap_{};
};

}  // namespace

void serve(tcp::socket socket, Shared& shared, std::shared_ptr<asio::ssl::context> tls) {
  beast::error_code error;
  static_cast<void>(socket.set_option(tcp::no_delay(true), error));
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
