#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace server {

// What the server was asked to do. Command line before environment before configuration file.
struct Options {
  std::string store;
  std::string keys;
  bool allow_group_read = false;
  std::string state;  // empty = where the `ptsecure` command keeps it
  bool no_state = false;
  std::vector<std::string> models;  // references
  std::string verify = "signed";
  std::string device;
  int intra_op_threads = 0;

  std::string listen = "127.0.0.1:8080";
  std::string host;  // of `listen`, without brackets
  std::uint16_t port = 0;
  std::string tls_cert;
  std::string tls_key;
  bool allow_plaintext = false;
  bool no_auth = false;

  unsigned threads = 0;  // that read and write; 0 was turned into a number
  unsigned workers = 0;  // that run models; likewise
  unsigned queue = 64;   // inferences waiting for a worker
  unsigned max_connections = 1024;
  std::size_t max_body = std::size_t{64} << 20;
  std::size_t max_inflight = std::size_t{1} << 30;  // bytes of bodies and answers, all requests
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds write_timeout{60'000};
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds drain_timeout{30'000};
  std::chrono::milliseconds key_grace{60'000};
  bool no_access_log = false;

  bool tls() const { return !tls_cert.empty(); }
};

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws UsageError with one sentence. Nothing when help or the version was asked for and printed.
std::optional<Options> parse_options(int argc, const char* const* argv);

// Whether the host names this machine only.
bool is_loopback(const std::string& host);

}  // namespace server
