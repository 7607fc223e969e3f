#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/cli/terminal.hpp"
#include "ptsecure/ptsecure.hpp"

// The verbs of the `ptsecure` command. Each add_* declares its options and sets `run` to what is
// done when the verb is used.
namespace cli {

// What every verb shares.
struct Common {
  std::string store;
  std::string keys;
  std::string state;  // empty = the default file
  bool no_state = false;
  bool json = false;
  bool quiet = false;
  bool allow_group_read = false;
  pts::Cancel cancel;  // set by Ctrl-C
  std::function<void()> run;

  pts::Store open_store() const;
  // Another store than --store.
  pts::Store open_store(const std::string& uri) const;
  // Empty with --no-state.
  std::string state_file() const;
  pts::Keyring open_keys() const;
  // Another keyring file than --keys.
  pts::Keyring open_keys(const std::string& path) const;
  bool show_progress() const { return !json && !quiet; }
  // What every call obeys: Ctrl-C ends it.
  pts::Call call() const { return {.cancel = &cancel, .timeout = {}, .progress = {}}; }
  // The same, shown by a bar, which is borrowed.
  pts::Call call(ProgressBar& bar) const {
    pts::Call out = call();
    out.progress = [&bar](std::uint64_t done, std::uint64_t total) { bar.update(done, total); };
    return out;
  }
};

// What a reference must come up to: --manifest, --min-sequence, --max-age.
struct Expected {
  std::string manifest;
  std::uint64_t min_sequence = 0;
  std::int64_t max_age = 0;  // seconds

  void add_to(CLI::App& verb);
  bool any() const { return !manifest.empty() || min_sequence != 0 || max_age != 0; }
  pts::OpenOptions options() const;
};

// A wrong command line that CLI11 can't see; exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void add_key_commands(CLI::App& app, Common& common);      // keygen, keys
void add_publish_commands(CLI::App& app, Common& common);  // publish, import, copy
void add_alias_commands(CLI::App& app, Common& common);    // alias, rollback, history
void add_log_commands(CLI::App& app, Common& common);      // log, state
void add_show_commands(CLI::App& app, Common& common);     // list, show, verify, version
void add_infer_commands(CLI::App& app, Common& common);    // infer, export
void add_apikey_commands(CLI::App& app, Common& common);   // apikey

std::string read_file(const std::string& path);
bool is_npy(const std::string& path);
pts::Value read_npy(const std::string& path);

}  // namespace cli
