#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <vector>

#include "server_example/connection.hpp"

namespace server {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

constexpr unsigned kStoreThreads = 2;
constexpr unsigned kKeyThreads = 4;
constexpr unsigned kStoreQueue = 16;
constexpr unsigned kKeyQueue = 256;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

std::shared_ptr<asio::ssl::context> make_tls(const Options& options) {
  if (!options.tls()) return nullptr;
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                   asio::ssl::context::no_tlsv1_1 | SSL_OP_NO_RENEGOTIATION);
  try {
    tls->use_certificate_chain_file(options.tls_cert);
    tls->use_private_key_file(options.tls_key, asio::ssl::context::pem);
  } catch (const boost::system::system_error& error) {
    throw UsageError("--tls-cert and --tls-key must be PEM files that belong together: " +
                     std::string(error.what()));
  }
  return tls;
}

pts::Keyring load_keys(const Options& options) {
  pts::KeyringOptions how;
  how.allow_group_read = options.allow_group_read;
  if (const char* passphrase = std::getenv("PTSECURE_PASSPHRASE")) how.passphrase = passphrase;
  return pts::Keyring::load(options.keys, how);
}

pts::Store open_store(const Options& options, Log& log) {
  pts::StoreOptions how;
  if (!options.no_state)
    how.state = options.state.empty() ? pts::default_state_path() : options.state;
  how.log = [&log](std::int32_t level, std::string_view message) {
    if (level <= PTS_LOG_WARNING) log.warning("store", {{"message", message}});
  };
  return pts::Store::open(options.store, how);
}

// The listener and everything that ends with it.
class Server {
 public:
  explicit Server(const Options& options)
      : options_(options),
        tls_(make_tls(options)),
        keys_(load_keys(options)),
        store_(open_store(options, log_)),
        auth_(options, store_, keys_),
        budget_(options.max_inflight),
        infer_(options.workers, options.queue),
        admin_(kStoreThreads, kStoreQueue),
        key_lane_(kKeyThreads, kKeyQueue),
        models_(options, store_, keys_, log_, [this](const std::string& why) { fail(why); }),
        service_(options, models_, auth_, stats_, [this](Gauges& gauges) { fill(gauges); }),
        shared_{options_, service_, auth_,     stats_, log_, budget_,
                infer_,   admin_,   key_lane_, {},     {},   {}} {}

  int run() {
    listen();
    auth_thread_ = std::thread([this] { open_auth(); });
    signals_.async_wait([this](const auto& error, int number) { on_signal(error, number); });
    asio::post(control_, [this] { accept(); });
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < options_.threads; ++i) threads.emplace_back([this] { io_.run(); });
    io_.run();
    for (std::thread& thread : threads) thread.join();
    ending_ = true;
    auth_thread_.join();
    infer_.join();
    admin_.join();
    key_lane_.join();
    log_.info("ended");
    return failure_.empty() ? 0 : kFailed;
  }

  const std::string& failure() const { return failure_; }

 private:
  void listen() {
    boost::system::error_code error;
    const tcp::endpoint endpoint(asio::ip::make_address(options_.host, error), options_.port);
    if (error) throw UsageError("--listen: '" + options_.host + "' is no IP address");
    try {
      acceptor_.open(endpoint.protocol());
      acceptor_.set_option(tcp::acceptor::reuse_address(true));
      acceptor_.bind(endpoint);
      acceptor_.listen();
    } catch (const boost::system::system_error& failed) {
      throw UsageError("can't listen on " + options_.listen + ": " + failed.code().message());
    }
    log_.info("listening", {{"address", acceptor_.local_endpoint().address().to_string()},
                            {"port", acceptor_.local_endpoint().port()},
                            {"tls", options_.tls()},
                            {"auth", !options_.no_auth},
                            {"version", pts_version()}});
  }

  // The store may be away when the server starts.
  void open_auth() {
    bool told = false;
    while (!ending_ && !auth_.is_open()) {
      try {
        auth_.open();
      } catch (const pts::Error& error) {
        const bool wait = error.status() == PTS_UNAVAILABLE || error.status() == PTS_TIMEOUT;
        if (!wait) return fail(std::string("API keys: ") + error.what());
        if (!std::exchange(told, true)) log_.warning("keys_not_open", {{"error", error.what()}});
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
      }
    }
  }

  void accept() {
    acceptor_.async_accept(asio::make_strand(io_), [this](const auto& error, tcp::socket socket) {
      on_accept(error, std::move(socket));
    });
  }
  void on_accept(const boost::system::error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
    if (error) {
      // Out of file descriptors, most likely; some come back.
      log_.error("accept", {{"error", error.message()}});
      pause_.expires_after(std::chrono::milliseconds(100));
      pause_.async_wait([this](const auto& ended) {
        if (!ended && acceptor_.is_open()) accept();
      });
      return;
    }
    if (stats_.connections.load() < static_cast<std::int64_t>(options_.max_connections)) {
      serve(std::move(socket), shared_, tls());
    } else {
      stats_.connections_refused.fetch_add(1);  // going out of scope closes it
    }
    accept();
  }

  std::shared_ptr<asio::ssl::context> tls() {
    const std::lock_guard lock(shared_.mutex);
    return tls_;
  }

  void on_signal(const boost::system::error_code& error, int number) {
    if (error) return;
    if (number == SIGHUP) {
      reload_tls();
      log_.info("looking_again");
      models_.look_again();
    } else if (!shared_.draining) {
      log_.info("draining");
      drain();
    } else {
      log_.flush();
      std::_Exit(kFailed);
    }
    signals_.async_wait([this](const auto& next, int which) { on_signal(next, which); });
  }

  // New connections take the new certificate; a broken one leaves the old in place.
  void reload_tls() {
    try {
      auto fresh = make_tls(options_);
      const std::lock_guard lock(shared_.mutex);
      tls_ = std::move(fresh);
    } catch (const UsageError& error) {
      log_.error("certificate_not_loaded", {{"error", error.what()}});
    }
  }

  void fail(const std::string& why) {
    asio::post(control_, [this, why] {
      if (failure_.empty()) failure_ = why;
      if (!shared_.draining) drain();
    });
  }

  // Takes no more connections, lets running requests end, and waits for them.
  void drain() {
    shared_.draining = true;
    service_.drain();
    boost::system::error_code ignored;
    static_cast<void>(acceptor_.close(ignored));
    {
      const std::lock_guard lock(shared_.mutex);
      for (Closable* connection : shared_.open) connection->close_when_idle();
    }
    deadline_ = std::chrono::steady_clock::now() + options_.drain_timeout;
    wait_for_connections();
  }

  void wait_for_connections() {
    if (stats_.connections.load() == 0) {
      signals_.cancel();
      return io_.stop();
    }
    if (std::chrono::steady_clock::now() >= deadline_) {
      log_.error("drain_timeout", {{"connections", stats_.connections.load()}});
      log_.flush();
      std::_Exit(kFailed);  // a model that doesn't return can't be waited for
    }
    timer_.expires_after(std::chrono::milliseconds(20));
    timer_.async_wait([this](const auto& error) {
      if (!error) wait_for_connections();
    });
  }

  void fill(Gauges& gauges) const {
    gauges.inflight_bytes = budget_.used();
    gauges.log_lines_dropped = log_.dropped();
  }

  const Options& options_;
  Log log_;
  std::shared_ptr<asio::ssl::context> tls_;
  pts::Keyring keys_;
  pts::Store store_;
  Auth auth_;
  Budget budget_;
  ServerStats stats_;
  Lane infer_;
  Lane admin_;
  Lane key_lane_;
  asio::io_context io_;
  asio::strand<asio::io_context::executor_type> control_{io_.get_executor()};  // of the next four
  asio::signal_set signals_{control_, SIGTERM, SIGINT, SIGHUP};
  asio::steady_timer timer_{control_};
  asio::steady_timer pause_{control_};
  tcp::acceptor acceptor_{control_};
  std::string failure_;
  std::atomic<bool> ending_{false};
  std::chrono::steady_clock::time_point deadline_;
  std::thread auth_thread_;
  Models models_;
  Service service_;
  Shared shared_;
};

int complain(const std::string& message, int code) {
  std::cerr << "ptsecure-server: " << message << '\n';
  return code;
}

int run(int argc, const char* const* argv) {
  const auto options = parse_options(argc, argv);
  if (!options) return 0;
  std::signal(SIGPIPE, SIG_IGN);
  Server server(*options);
  const int code = server.run();
  return code == 0 ? 0 : complain(server.failure(), code);
}

}  // namespace
}  // namespace server

int main(int argc, char** argv) {
  // libmongoc's counters need a file in shared memory, and a warning where there is none to be had.
  setenv("MONGOC_DISABLE_SHM", "1", 0);
  try {
    return server::run(argc, argv);
  } catch (const server::UsageError& error) {
    return server::complain(error.what(), server::kUsage);
  } catch (const std::exception& error) {
    return server::complain(error.what(), server::kFailed);
  }
}
