#include "server_example/service.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "server_example/assets.hpp"

namespace server {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostLoadDepth = 8;

std::uint64_t micros(std::chrono::nanoseconds time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

// The page may load nothing from elsewhere, and no page may frame it.
Answer asset(std::string_view text, std::string_view type) {
  Answer answer;
  answer.content_type = type;
  answer.body = text;
  answer.headers = {{"Content-Security-Policy",
                     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
                    {"Referrer-Policy", "no-referrer"}};
  return answer;
}

// The page for people; KServe V1's liveness for its clients.
Answer root(const RequestHead& head) {
  Answer answer = head.wants_page ? asset(assets::page_html, "text/html; charset=utf-8")
                                  : json_answer(R"({"status":"alive"})");
  answer.headers.emplace_back("Vary", "Accept");
  return answer;
}

Answer server_metadata() {
  return json_answer(ordered_json{{"name", "ptsecure-server"},
                                  {"version", pts_version()},
                                  {"extensions", {"binary_tensor_data", "model_repository"}}}
                         .dump());
}

Failure failure_of(pts_status status) {
  if (status == PTS_ENGINE || status == PTS_INTERNAL) return Failure::backend;
  return Failure::other;
}

class Pending {
 public:
  explicit Pending(ModelStats& stats) : stats_(stats) { stats_.pending.fetch_add(1); }
  ~Pending() { stats_.pending.fetch_sub(1); }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

 private:
  ModelStats& stats_;
};

void count(ModelStats& stats, const pts::InferInfo& info, std::chrono::nanoseconds waited,
           std::chrono::nanoseconds total) {
  stats.success.fetch_add(1);
  stats.executions.fetch_add(1);
  stats.rows.fetch_add(info.batch);
  stats.request_us.fetch_add(micros(total));
  stats.queue_us.fetch_add(micros(waited));
  stats.input_us.fetch_add(micros(info.decode));
  stats.infer_us.fetch_add(micros(info.run));
  stats.output_us.fetch_add(micros(info.encode));
  stats.latency.add(total);
}

std::string host_without_port(const std::string& host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.rfind(':'));
}

}  // namespace

Service::Service(const Options& options, Models& models, Auth& auth, ServerStats& stats,
                 std::function<void(Gauges&)> gauges)
    : options_(options), models_(models), auth_(auth), stats_(stats), gauges_(std::move(gauges)) {}

Service::Lane Service::lane(Action action) {
  switch (action) {
    case Action::infer:
    case Action::v1_predict:
      return Lane::infer;
    case Action::repository_index:
    case Action::repository_load:
    case Action::repository_unload:
      return Lane::store;
    default:
      return Lane::here;
  }
}

bool Service::takes_body(Action action) {
  return lane(action) == Lane::infer;
}

std::optional<Answer> Service::check_origin(const RequestHead& head) const {
  if (!options_.no_auth) return std::nullopt;
  const std::string host = host_without_port(head.host);
  if (!is_loopback(host)) {
    return refusal(403,
                   "a server without API keys answers only to localhost and loopback "
                   "addresses, which this Host is not");
  }
  const std::size_t scheme = head.origin.find("://");
  const bool foreign = !head.origin.empty() &&
                       (scheme == std::string::npos || head.origin.substr(scheme + 3) != head.host);
  if (foreign) return refusal(403, "a server without API keys answers no pages of other origins");
  return std::nullopt;
}

Answer Service::handle(const Route& route, const RequestHead& head, const Body& body,
                       std::chrono::nanoseconds waited) const {
  Answer answer;
  try {
    answer = act(route, head, body, waited);
  } catch (const pts::Error& error) {
    answer = refusal(error);
  } catch (const std::bad_alloc&) {
    answer = refusal(503, "not enough memory", {{"Retry-After", "1"}});
  } catch (const std::exception& error) {
    answer = refusal(500, error.what());
  }
  return answer;
}

Answer Service::act(const Route& route, const RequestHead& head, const Body& body,
                    std::chrono::nanoseconds waited) const {
  switch (route.action) {
    case Action::page:
      return root(head);
    case Action::page_script:
      return asset(assets::page_js, "text/javascript; charset=utf-8");
    case Action::page_style:
      return asset(assets::page_css, "text/css; charset=utf-8");
    case Action::openapi:
      return asset(assets::openapi_json, "application/json");
    case Action::metrics:
      return metrics();
    case Action::apikey_usage:
      return json_answer(auth_.usage());
    case Action::live:
      return json_answer(R"({"live":true})");
    case Action::ready:
      return ready();
    case Action::server_metadata:
      return server_metadata();
    case Action::list_models:
      return list_models(head);
    case Action::model_metadata:
      return json_answer(models_.metadata(*models_.find(route.model, route.version)));
    case Action::model_ready:
    case Action::v1_model:
      return model_ready(route);
    case Action::infer:
    case Action::v1_predict:
      return infer(route, head, body, waited);
    case Action::repository_index: {
      const json request = json::parse(body.text(), nullptr, false);
      const bool ready_only = request.is_object() && request.value("ready", json()) == true;
      return json_answer(models_.index(ready_only));
    }
    case Action::repository_load:
      return load(route, body);
    case Action::repository_unload:
      models_.unload(route.model);
      return json_answer("{}");
  }
  return refusal(404, "there is nothing at this path");
}

Answer Service::infer(const Route& route, const RequestHead& head, const Body& body,
                      std::chrono::nanoseconds waited) const {
  const auto start = Clock::now();
  const ServedPtr served = models_.find(route.model, route.version);
  ModelStats& stats = served->stats;
  const Pending pending(stats);
  Answer answer;
  try {
    const std::uint64_t json_size = head.json_size.value_or(body.size);
    if (json_size > body.size) {
      throw pts::InvalidInput(PTS_INVALID_INPUT,
                              "Inference-Header-Content-Length must be a number, and no larger "
                              "than the body of " +
                                  std::to_string(body.size) + " bytes");
    }
    // A stateful model answers every request from its published state: nothing that one client
    // leaves there reaches another.
    std::optional<pts::Model> own;
    if (served->stateful) own = served->model.fork();
    const pts::Model& model = own ? *own : served->model;
    pts::InferInfo info;
    if (route.action == Action::v1_predict) {
      answer.body = model.infer_v1(body.text(), &info);
    } else {
      pts::Bytes out = model.infer_v2(body.data, body.size, json_size, body.owner, &info);
      if (info.json_size != out.size()) {
        answer.content_type = "application/octet-stream";
        answer.headers.emplace_back("Inference-Header-Content-Length",
                                    std::to_string(info.json_size));
      }
      answer.body = std::move(out);
    }
    served->answered = true;
    count(stats, info, waited, waited + (Clock::now() - start));
  } catch (const pts::Error& error) {
    stats.failure[static_cast<std::size_t>(failure_of(error.status()))].fetch_add(1);
    answer = refusal(error);
  }
  answer.model = served->name;
  answer.version = served->version;
  return answer;
}

void Service::count_rejected(const Route& route) const {
  if (lane(route.action) != Lane::infer) return;
  try {
    const ServedPtr served = models_.find(route.model, route.version);
    served->stats.failure[static_cast<std::size_t>(Failure::rejected)].fetch_add(1);
  } catch (const pts::Error&) {  // nobody's
  }
}

// Names no model: everybody may ask. Degraded is still ready, for taking every server out when
// their common store is away would help nobody; only when no key can be checked any more it isn't.
Answer Service::ready() const {
  const Health health = models_.health();
  const bool keys = options_.no_auth || (auth_.is_open() && health.store_gone < options_.key_grace);
  const bool ready = health.ready && keys && !draining_;
  const char* state = draining_                 ? "draining"
                      : !ready                  ? "not ready"
                      : !health.store_reachable ? "degraded"
                                                : "ready";
  Answer answer =
      json_answer(ordered_json{{"ready", ready},
                               {"state", state},
                               {"store", health.store_reachable ? "reachable" : "unreachable"}}
                      .dump());
  if (!ready) {
    answer.status = 503;
    answer.headers.emplace_back("Retry-After", "1");
  }
  return answer;
}

Answer Service::metrics() const {
  const std::vector<ServedPtr> served = models_.all();
  std::vector<NamedStats> named;
  named.reserve(served.size());
  for (const ServedPtr& model : served) {
    named.push_back({model->name, model->version, &model->stats});
  }
  const Health health = models_.health();
  Gauges gauges;
  gauges.ready = health.ready;
  gauges.store_reachable = health.store_reachable;
  gauges_(gauges);
  Answer answer;
  answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  answer.body = write_metrics(named, stats_, gauges);
  return answer;
}

Answer Service::list_models(const RequestHead& head) const {
  std::set<std::string> names;
  for (const ServedPtr& served : models_.all()) {
    if (!names.contains(served->name) && auth_.may_use(head, served->name)) {
      names.insert(served->name);
    }
  }
  return json_answer(ordered_json{{"models", names}}.dump());
}

Answer Service::model_ready(const Route& route) const {
  const ServedPtr served = models_.find(route.model, route.version);
  const bool ready = served->answered;
  Answer answer = json_answer(ordered_json{{"name", served->name}, {"ready", ready}}.dump());
  if (!ready) answer.status = 503;
  return answer;
}

Answer Service::load(const Route& route, const Body& body) const {
  std::string reference;
  if (body.size != 0) {
    const auto flat = [](int depth, json::parse_event_t, json&) {
      return static_cast<std::size_t>(depth) < kMostLoadDepth;
    };
    const json request = json::parse(body.text(), flat, false);
    if (!request.is_object()) return refusal(400, "the body must be a JSON object, or empty");
    const json parameters = request.value("parameters", json::object());
    const json given = parameters.is_object() ? parameters.value("reference", json("")) : json();
    if (!given.is_string()) {
      return refusal(400, "`parameters` must be an object, and its `reference` text");
    }
    reference = given.get<std::string>();
  }
  models_.load(route.model, reference);
  return json_answer("{}");
}

}  // namespace server
