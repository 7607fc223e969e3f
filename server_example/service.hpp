#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "server_example/auth.hpp"
#include "server_example/http.hpp"
#include "server_example/log.hpp"
#include "server_example/metrics.hpp"
#include "server_example/models.hpp"
#include "server_example/options.hpp"
#include "server_example/router.hpp"

namespace server {

// What every route answers. Thread-safe; knows nothing of sockets.
class Service {
 public:
  // `gauges` fills in what only the network side knows.
  Service(const Options& options, Models& models, Auth& auth, ServerStats& stats,
          std::function<void(Gauges&)> gauges);

  // Where an action runs: it may compute for long, wait for the store, or do neither.
  enum class Lane { here, infer, store };
  static Lane lane(Action action);
  static bool takes_body(Action action);

  // What keeps web pages of other origins out of a server without keys: nothing when all is well.
  std::optional<Answer> check_origin(const RequestHead& head) const;

  // `waited`: for a worker.
  Answer handle(const Route& route, const RequestHead& head, const Body& body,
                std::chrono::nanoseconds waited) const;
  // Tells the model's counters about a request that found no worker.
  void count_rejected(const Route& route) const;

  void drain() { draining_ = true; }

 private:
  Answer act(const Route& route, const RequestHead& head, const Body& body,
             std::chrono::nanoseconds waited) const;
  Answer infer(const Route& route, const RequestHead& head, const Body& body,
               std::chrono::nanoseconds waited) const;
  Answer ready() const;
  Answer metrics() const;
  Answer list_models(const RequestHead& head) const;
  Answer model_ready(const Route& route) const;
  Answer load(const Route& route, const Body& body) const;

  const Options& options_;
  Models& models_;
  Auth& auth_;
  ServerStats& stats_;
  std::function<void(Gauges&)> gauges_;
  std::atomic<bool> draining_{false};
};

}  // namespace server
