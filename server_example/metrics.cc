#include "server_example/metrics.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <string_view>

namespace server {
namespace {

std::string number(double value) {
  char text[32];
  const int size = std::snprintf(text, sizeof(text), "%.9g", value);
  return std::string(text, static_cast<std::size_t>(size));
}

void header(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
  out.append(name).append(" ").append(type).append("\n");
}

// Names of models need no escaping: [A-Za-z0-9._-].
std::string labels_of(const NamedStats& model) {
  return "model=\"" + model.model + "\",version=\"" + std::to_string(model.version) + "\"";
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

class Writer {
 public:
  explicit Writer(const std::vector<NamedStats>& models) : models_(models) {}

  void counter(std::string_view name, std::string_view help, const Count ModelStats::* member) {
    header(text, name, "counter", help);
    for (const NamedStats& model : models_) {
      line(name, labels_of(model), std::to_string((model.stats->*member).load()));
    }
  }
  void single(std::string_view name, std::string_view type, std::string_view help,
              std::uint64_t value) {
    header(text, name, type, help);
    line(name, "", std::to_string(value));
  }
  void line(std::string_view name, const std::string& labels, const std::string& value) {
    text.append(name);
    if (!labels.empty()) text.append("{").append(labels).append("}");
    text.append(" ").append(value).append("\n");
  }

  std::string text;

 private:
  const std::vector<NamedStats>& models_;
};

void write_models(Writer& out, const std::vector<NamedStats>& models) {
  out.counter("nv_inference_request_success", "Inferences answered", &ModelStats::success);
  header(out.text, "nv_inference_request_failure", "counter", "Inferences that failed, by reason");
  constexpr std::array<const char*, 3> kReasons = {"REJECTED", "BACKEND", "OTHER"};
  for (const NamedStats& model : models) {
    for (std::size_t i = 0; i < kReasons.size(); ++i) {
      out.line("nv_inference_request_failure", labels_of(model) + ",reason=\"" + kReasons[i] + "\"",
               std::to_string(model.stats->failure[i].load()));
    }
  }
  out.counter("nv_inference_count", "Rows inferred", &ModelStats::rows);
  out.counter("nv_inference_exec_count", "Runs of the model", &ModelStats::executions);
  out.counter("nv_inference_request_duration_us", "From the whole request to the answer",
              &ModelStats::request_us);
  out.counter("nv_inference_queue_duration_us", "Waiting for a worker", &ModelStats::queue_us);
  out.counter("nv_inference_compute_input_duration_us", "Reading requests", &ModelStats::input_us);
  out.counter("nv_inference_compute_infer_duration_us", "Running the model", &ModelStats::infer_us);
  out.counter("nv_inference_compute_output_duration_us", "Writing answers", &ModelStats::output_us);
  header(out.text, "nv_inference_pending_request_count", "gauge", "Inferences waiting or running");
  for (const NamedStats& model : models) {
    out.line("nv_inference_pending_request_count", labels_of(model),
             std::to_string(model.stats->pending.load()));
  }
  constexpr std::string_view kLatency = "ptsecure_inference_duration_seconds";
  header(out.text, kLatency, "histogram", "From the whole request to the answer");
  for (const NamedStats& model : models) {
    model.stats->latency.write(out.text, std::string(kLatency), labels_of(model));
  }
}

}  // namespace

void Histogram::add(std::chrono::nanoseconds time) {
  const double seconds = std::chrono::duration<double>(time).count();
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  buckets_[static_cast<std::size_t>(bucket - kBounds.begin())].fetch_add(1);
  sum_ns_.fetch_add(static_cast<std::uint64_t>(time.count()));
}

void Histogram::write(std::string& out, const std::string& name, const std::string& labels) const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    total += buckets_[i].load();
    const std::string bound = i < kBounds.size() ? number(kBounds[i]) : "+Inf";
    out += name + "_bucket{" + labels + ",le=\"" + bound + "\"} " + std::to_string(total) + "\n";
  }
  out += name + "_sum{" + labels + "} " + number(static_cast<double>(sum_ns_.load()) / 1e9) + "\n";
  out += name + "_count{" + labels + "} " + std::to_string(total) + "\n";
}

std::string write_metrics(const std::vector<NamedStats>& models, const ServerStats& server,
                          const Gauges& gauges) {
  Writer out(models);
  write_models(out, models);
  header(out.text, "ptsecure_http_responses_total", "counter", "Answers by HTTP status");
  for (std::size_t status = 0; status < server.answers.size(); ++status) {
    const std::uint64_t count = server.answers[status].load();
    if (count == 0) continue;
    out.line("ptsecure_http_responses_total", "code=\"" + std::to_string(status) + "\"",
             std::to_string(count));
  }
  out.single("ptsecure_connections", "gauge", "Open connections",
             static_cast<std::uint64_t>(std::max<std::int64_t>(0, server.connections.load())));
  out.single("ptsecure_connections_refused_total", "counter", "Connections over the limit",
             server.connections_refused.load());
  out.single("ptsecure_received_bytes_total", "counter", "Bytes of request bodies",
             server.received_bytes.load());
  out.single("ptsecure_sent_bytes_total", "counter", "Bytes of answers", server.sent_bytes.load());
  out.single("ptsecure_inflight_bytes", "gauge", "Request and answer bytes held now",
             gauges.inflight_bytes);
  out.single("ptsecure_log_lines_dropped_total", "counter", "Log lines nobody took in time",
             gauges.log_lines_dropped);
  out.single("ptsecure_store_reachable", "gauge", "1 when the store answered last time",
             gauges.store_reachable ? 1 : 0);
  out.single("ptsecure_ready", "gauge", "1 when every model has answered", gauges.ready ? 1 : 0);
  out.single("process_resident_memory_bytes", "gauge", "Resident memory", resident_bytes());
  return std::move(out.text);
}

}  // namespace server
