#include "server_example/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ptsecure/ptsecure.hpp>

namespace server {
namespace {

using nlohmann::json;

constexpr std::size_t kSmallestBody = 1024;

// "--max-body" is PTSECURE_SERVER_MAX_BODY; what the command knows too is named as for it.
std::string variable_of(const std::string& name) {
  std::string out =
      name == "store" || name == "keys" || name == "state" ? "PTSECURE_" : "PTSECURE_SERVER_";
  for (const char c : name) {
    out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

class Parser {
 public:
  explicit Parser(Options& options) : options_(options) {
    app_.set_version_flag("--version", std::string("ptsecure-server ") + pts_version());
    app_.add_option("--config", config_, "JSON file with any of these options by their long names")
        ->envname("PTSECURE_SERVER_CONFIG");
    add_store();
    add_network();
    add_limits();
    app_.footer(
        "Every option is also PTSECURE_SERVER_<NAME> in the environment (PTSECURE_STORE, "
        "PTSECURE_KEYS\nand PTSECURE_STATE for those three) and a member of the configuration "
        "file. "
        "Command line\nbefore environment before file. PTSECURE_PASSPHRASE opens an encrypted "
        "keyring.\n"
        "Signals: TERM and INT finish what is running and end; HUP looks again where aliases "
        "point\nand reads the certificate anew.");
  }

  bool parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
      if (!config_.empty()) read_config();
    } catch (const CLI::Success& success) {
      app_.exit(success);
      return false;
    } catch (const CLI::ParseError& error) {
      throw UsageError(std::string(error.what()) + "; see --help");
    }
    return true;
  }

 private:
  template <class T>
  CLI::Option* add(const std::string& name, T& target, const std::string& text) {
    return app_.add_option("--" + name, target, text)->envname(variable_of(name));
  }
  void add_flag(const std::string& name, bool& target, const std::string& text) {
    app_.add_flag("--" + name, target, text)->envname(variable_of(name));
  }
  void add_count(const std::string& name, unsigned& target, unsigned from, unsigned to,
                 const std::string& text) {
    add(name, target, text)->check(CLI::Range(from, to))->capture_default_str();
  }
  void add_size(const std::string& name, std::size_t& target, const std::string& text) {
    add(name, target, text)->transform(CLI::AsSizeValue(false));
  }
  void add_time(const std::string& name, std::chrono::milliseconds& target,
                const std::string& text) {
    constexpr double kLongest = 86'400;
    add_function(name, text + " (seconds; default " + std::to_string(target.count() / 1000) + ")",
                 [&target, name](const std::string& given) {
                   double seconds = 0;
                   const char* end = given.data() + given.size();
                   const auto result = std::from_chars(given.data(), end, seconds);
                   if (result.ec != std::errc() || result.ptr != end || !(seconds > 0) ||
                       seconds > kLongest) {
                     throw CLI::ValidationError(
                         "--" + name,
                         "must be more than 0 and at most 86400 seconds, not " + given);
                   }
                   target = std::chrono::milliseconds(
                       std::max<std::int64_t>(1, static_cast<std::int64_t>(seconds * 1000)));
                 });
  }
  void add_function(const std::string& name, const std::string& text,
                    const std::function<void(const std::string&)>& take) {
    app_.add_option_function<std::string>("--" + name, take, text)->envname(variable_of(name));
  }

  void add_store() {
    add("store", options_.store, "Folder, file:///path or mongodb://host/database");
    add("keys", options_.keys, "Keyring file (JWK Set) that opens the models");
    add_flag("allow-group-read", options_.allow_group_read,
             "Accept a private keyring file that its group may read");
    add("state", options_.state,
        "File that remembers what the store has shown (default: below $XDG_STATE_HOME)");
    add_flag("no-state", options_.no_state,
             "Remember nothing: old records that were once valid are believed after a restart");
    app_.add_option("--model", options_.models,
                    "Reference of a model to serve: name, name/7 or name@alias; repeat for more")
        ->envname(variable_of("model"))
        ->delimiter(',')
        ->take_all();
    add("verify", options_.verify, "What is checked on opening")
        ->check(CLI::IsMember({"signed", "aead"}))
        ->capture_default_str();
    add("device", options_.device, "cpu (default), cuda or cuda:N");
    add("intra-op-threads", options_.intra_op_threads,
        "Threads of one inference; 0 = the cores divided by the workers")
        ->check(CLI::Range(0, 1024));
  }

  void add_network() {
    add("listen", options_.listen, "Address and port; port 0 = any free one")
        ->capture_default_str();
    add("tls-cert", options_.tls_cert, "Certificate chain, PEM");
    add("tls-key", options_.tls_key, "Its private key, PEM");
    add_flag("allow-plaintext", options_.allow_plaintext,
             "Listen beyond loopback without TLS: for use behind a proxy that ends TLS");
    add_flag("no-auth", options_.no_auth, "Ask for no API keys; only on a loopback address");
    add_count("threads", options_.threads, 0, 256, "Threads for the network; 0 = one per core");
    add_count("workers", options_.workers, 0, 256, "Threads that run models; 0 = one per core");
    add_flag("no-access-log", options_.no_access_log, "Don't log requests");
  }

  void add_limits() {
    add_count("queue", options_.queue, 1, 100'000, "Inferences that may wait for a worker");
    add_count("max-connections", options_.max_connections, 1, 100'000, "Connections at once");
    add_size("max-body", options_.max_body, "Largest request body; default 64MiB");
    add_size("max-inflight", options_.max_inflight,
             "Request and answer bytes held at once; default 1GiB");
    add_time("header-timeout", options_.header_timeout, "To receive a request's head");
    add_time("body-timeout", options_.body_timeout, "To receive its body");
    add_time("write-timeout", options_.write_timeout, "To send an answer");
    add_time("idle-timeout", options_.idle_timeout, "Between two requests of a connection");
    add_time("drain-timeout", options_.drain_timeout, "To finish running requests at the end");
    add_time("key-grace", options_.key_grace,
             "How long known API keys stay valid while the store can't be reached");
  }

  static std::string text_of(const std::string& name, const json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_boolean() || value.is_number()) return value.dump();
    throw UsageError("configuration file: `" + name + "` must be text, a number, true or false");
  }

  void read_config() {
    std::ifstream file(config_);
    if (!file) throw UsageError("the configuration file '" + config_ + "' can't be read");
    const json document = json::parse(file, nullptr, false);
    if (!document.is_object()) {
      throw UsageError("the configuration file '" + config_ + "' is not a JSON object");
    }
    for (const auto& [name, value] : document.items()) {
      CLI::Option* option = app_.get_option_no_throw("--" + name);
      if (option == nullptr || name == "config" || name == "help" || name == "version") {
        throw UsageError("configuration file: there is no option `" + name + "`");
      }
      if (option->count() > 0) continue;
      if (value.is_array() && name == "model") {
        for (const json& item : value) option->add_result(text_of(name, item));
      } else {
        option->add_result(text_of(name, value));
      }
      if (option->count() > 0) option->run_callback();
    }
  }

  Options& options_;
  std::string config_;
  CLI::App app_{"Serves sealed PyTorch models over HTTP: Open Inference Protocol V2, KServe V1.",
                "ptsecure-server"};
};

void split_address(Options& options) {
  const std::string& text = options.listen;
  const std::size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    host.clear();  // an IPv6 address needs its brackets
  }
  const char* first = text.data() + (colon == std::string::npos ? text.size() : colon + 1);
  const char* last = text.data() + text.size();
  const auto result = std::from_chars(first, last, options.port);
  if (host.empty() || first == last || result.ec != std::errc() || result.ptr != last) {
    throw UsageError("--listen must be like 127.0.0.1:8080 or [::1]:8080, not '" + text + "'");
  }
  options.host = host == "localhost" ? "127.0.0.1" : host;
}

std::string name_of(const std::string& reference) {
  return reference.substr(0, reference.find_first_of("/@"));
}

void check(Options& options) {
  if (options.store.empty()) throw UsageError("--store is missing");
  if (options.keys.empty()) throw UsageError("--keys is missing");
  if (options.models.empty()) {
    throw UsageError("--model is missing: give the reference of at least one model to serve");
  }
  for (const std::string& reference : options.models) {
    if (name_of(reference).empty()) throw UsageError("'" + reference + "' is no model reference");
    if (std::count(options.models.begin(), options.models.end(), reference) > 1) {
      throw UsageError("--model " + reference + " is given twice");
    }
  }
  split_address(options);
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    throw UsageError("--tls-cert and --tls-key go together");
  }
  if (options.no_auth && !is_loopback(options.host)) {
    throw UsageError("--no-auth is only for a loopback address, not " + options.listen);
  }
  if (!options.tls() && !is_loopback(options.host) && !options.allow_plaintext) {
    throw UsageError("listening on " + options.listen +
                     " without TLS would send API keys in the clear: give --tls-cert and "
                     "--tls-key, or --allow-plaintext behind a proxy that ends TLS");
  }
  if (options.max_body < kSmallestBody || options.max_inflight < options.max_body) {
    throw UsageError("--max-body must be at least 1024 and --max-inflight at least --max-body");
  }
  const unsigned cores = pts_cores();
  if (options.threads == 0) options.threads = cores;
  if (options.workers == 0) options.workers = cores;
  // Workers whose threads together are more than the cores wait for each other.
  if (options.intra_op_threads == 0) {
    options.intra_op_threads = static_cast<int>(std::max(1U, cores / options.workers));
  }
}

}  // namespace

std::optional<Options> parse_options(int argc, const char* const* argv) {
  Options options;
  Parser parser(options);
  if (!parser.parse(argc, argv)) return std::nullopt;
  check(options);
  return options;
}

bool is_loopback(const std::string& host) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return host == "localhost" || (!error && address.is_loopback());
}

}  // namespace server
