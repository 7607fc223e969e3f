#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace server {

using Count = std::atomic<std::uint64_t>;

// Seconds, cumulative only when written.
class Histogram {
 public:
  static constexpr std::array<double, 14> kBounds = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
  void add(std::chrono::nanoseconds time);
  void write(std::string& out, const std::string& name, const std::string& labels) const;

 private:
  std::array<Count, kBounds.size() + 1> buckets_{};
  Count sum_ns_{0};
};

enum class Failure : std::uint8_t { rejected, backend, other };

// Of one version of one model. Lives with it.
struct ModelStats {
  Count success{0};
  std::array<Count, 3> failure{};  // by Failure
  Count rows{0};
  Count executions{0};
  Count request_us{0};
  Count queue_us{0};
  Count input_us{0};
  Count infer_us{0};
  Count output_us{0};
  std::atomic<std::int64_t> pending{0};
  Histogram latency;
};

// Of the whole process.
struct ServerStats {
  std::array<Count, 600> answers{};  // by HTTP status
  std::atomic<std::int64_t> connections{0};
  Count connections_refused{0};
  Count received_bytes{0};
  Count sent_bytes{0};

  void count(unsigned status, std::size_t sent) {
    if (status < answers.size()) answers[status].fetch_add(1);
    sent_bytes.fetch_add(sent);
  }
};

// The metrics of one model in the text.
struct NamedStats {
  std::string model;
  std::uint64_t version;
  const ModelStats* stats;
};

// What is read at the moment of asking.
struct Gauges {
  std::uint64_t inflight_bytes = 0;
  std::uint64_t log_lines_dropped = 0;
  bool store_reachable = false;
  bool ready = false;
};

// Prometheus' text format, version 0.0.4. Names of models come from what is loaded, never from
// requests.
std::string write_metrics(const std::vector<NamedStats>& models, const ServerStats& server,
                          const Gauges& gauges);

}  // namespace server
