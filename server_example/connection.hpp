#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <mutex>
#include <set>

#include "server_example/auth.hpp"
#include "server_example/budget.hpp"
#include "server_example/lane.hpp"
#include "server_example/log.hpp"
#include "server_example/metrics.hpp"
#include "server_example/options.hpp"
#include "server_example/service.hpp"

namespace server {

// An open connection, for whoever ends them all.
class Closable {
 public:
  virtual ~Closable() = default;
  // Ends it as soon as no request is being served. Any thread.
  virtual void close_when_idle() = 0;
};

// What all connections share.
struct Shared {
  const Options& options;
  Service& service;
  Auth& auth;
  ServerStats& stats;
  Log& log;
  Budget& budget;
  Lane& infer;
  Lane& store;
  Lane& keys;
  std::atomic<bool> draining{false};

  std::mutex mutex;
  std::set<Closable*> open;
};

// Serves a connection until its end; TLS when there is a context. The connection keeps itself.
void serve(boost::asio::ip::tcp::socket socket, Shared& shared,
           std::shared_ptr<boost::asio::ssl::context> tls);

}  // namespace server
