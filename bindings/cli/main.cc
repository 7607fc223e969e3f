#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "bindings/cli/commands.hpp"
#include "bindings/cli/terminal.hpp"

namespace cli {
namespace {

constexpr int kUsage = 2;
const pts_cancel* interrupted = nullptr;

// The second one ends the process at once: a model that is running can't be asked to stop.
void on_interrupt(int) {
  pts_cancel_set(interrupted);
  std::signal(SIGINT, SIG_DFL);
}

// docs/errors.md lists these.
int exit_code(pts_status status) {
  switch (status) {
    case PTS_INVALID_ARGUMENT:
      return kUsage;
    case PTS_NOT_FOUND:
      return 3;
    case PTS_UNTRUSTED:
    case PTS_CORRUPT:
    case PTS_ROLLBACK:
      return 4;
    case PTS_NO_KEY:
    case PTS_REVOKED:
    case PTS_PERMISSION_DENIED:
      return 5;
    case PTS_UNAVAILABLE:
    case PTS_TIMEOUT:
      return 6;
    case PTS_CANCELLED:
      return 130;
    default:
      return 1;
  }
}

int complain(const std::string& message, int code) {
  std::cerr << "ptsecure: " << message << '\n';
  return code;
}

// CLI11 says only that a subcommand is missing where one was mistyped.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  const bool wants_verb = at->get_require_subcommand_min() > at->get_subcommands().size();
  const std::string help = at == &app ? "ptsecure" : "ptsecure " + at->get_name();
  if (wants_verb && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    const std::vector<std::string> rest = app.remaining(true);
    return (rest.empty() ? "a command is missing" : "'" + rest.front() + "' is no command here") +
           "; see `" + help + " --help`";
  }
  return std::string(error.what()) + "; see `" + help + " --help`";
}

int run(int argc, char** argv) {
  CLI::App app(
      "Keeps PyTorch models signed and encrypted in a folder or in MongoDB, and runs them.",
      "ptsecure");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_help_all_flag("--help-all", "Help of every verb");
  app.set_version_flag("--version", std::string("ptsecure ") + pts_version());
  app.footer(
      "Environment: PTSECURE_STORE, PTSECURE_KEYS, PTSECURE_STATE, PTSECURE_PASSPHRASE, "
      "PTSECURE_TORCH_DIR.\n"
      "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not trusted or damaged, 5 no key, 6 "
      "store unreachable, 130 interrupted.");
  Common common;
  app.add_option("--store", common.store, "Folder, file:///path or mongodb://host/database")
      ->envname("PTSECURE_STORE");
  app.add_option("--keys", common.keys, "Keyring file (JWK Set)")->envname("PTSECURE_KEYS");
  app.add_option("--state", common.state,
                 "File that remembers what a store has shown (default: below $XDG_STATE_HOME)")
      ->envname("PTSECURE_STATE");
  app.add_flag("--no-state", common.no_state,
               "Remember nothing: old records that were once valid are believed");
  app.add_flag("--json", common.json, "Print JSON, for machines");
  app.add_flag("-q,--quiet", common.quiet, "No progress bars");
  app.add_flag("--allow-group-read", common.allow_group_read,
               "Accept private keyring files that their group may read");
  add_key_commands(app, common);
  add_publish_commands(app, common);
  add_alias_commands(app, common);
  add_log_commands(app, common);
  add_show_commands(app, common);
  add_infer_commands(app, common);
  add_apikey_commands(app, common);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return complain(usage_error(app, error), kUsage);
  }
  interrupted = common.cancel.get();
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGPIPE, SIG_DFL);
  common.run();
  std::cout.flush();
  return std::cout ? 0 : complain("the output could not be written", 1);
}

}  // namespace

pts::Keyring Common::open_keys() const {
  if (keys.empty()) {
    throw UsageError(
        "this needs a keyring: give --keys FILE or set PTSECURE_KEYS (`ptsecure keygen FILE` makes "
        "one)");
  }
  return open_keys(keys);
}

pts::Keyring Common::open_keys(const std::string& path) const {
  pts::KeyringOptions options;
  options.allow_group_read = allow_group_read;
  const char* passphrase = std::getenv("PTSECURE_PASSPHRASE");
  if (passphrase != nullptr) options.passphrase = passphrase;
  try {
    return pts::Keyring::load(path, options);
  } catch (const pts::NoKey&) {
    if (passphrase != nullptr || !stdin_is_terminal()) throw;
  }
  options.passphrase = ask_passphrase("Passphrase of " + path);
  return pts::Keyring::load(path, options);
}

pts::Store Common::open_store() const {
  if (store.empty()) {
    throw UsageError(
        "this needs a store: give --store URI or set PTSECURE_STORE (a folder, or "
        "mongodb://host/database)");
  }
  return open_store(store);
}

pts::Store Common::open_store(const std::string& uri) const {
  pts::StoreOptions options;
  options.state = state_file();
  return pts::Store::open(uri, options);
}

std::string Common::state_file() const {
  if (no_state) return {};
  return state.empty() ? pts::default_state_path() : state;
}

void Expected::add_to(CLI::App& verb) {
  const std::map<std::string, std::int64_t> units = {
      {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  verb.add_option("--manifest", manifest,
                  "Only a version with this manifest (SHA-256, see `alias show`)");
  verb.add_option("--min-sequence", min_sequence,
                  "Only with an alias whose last record has at least this sequence")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--max-age", max_age,
                  "Only with an alias that was set within this time: 3600, 90m, 24h, 7d")
      ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_OPTIONAL));
}

pts::OpenOptions Expected::options() const {
  if (max_age < 0)
    throw UsageError("--max-age is a length of time, not " + std::to_string(max_age));
  pts::OpenOptions options;
  options.manifest = manifest;
  options.min_sequence = min_sequence;
  options.max_age = std::chrono::seconds(max_age);
  return options;
}

std::string read_file(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::exists(path, none))
    throw pts::NotFound(PTS_NOT_FOUND, "there is no file '" + path + "'");
  if (std::filesystem::is_directory(path, none))
    throw UsageError("'" + path + "' is a folder, where a file is expected");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw UsageError("'" + path + "' can't be read: " + std::strerror(errno));
  std::string content(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) throw UsageError("'" + path + "' can't be read");
  if (content.empty()) throw UsageError("'" + path + "' is empty");
  return content;
}

}  // namespace cli

int main(int argc, char** argv) {
  // libmongoc's counters are for watching programs that run for long; a command needs no file in
  // shared memory, nor a warning where there is none to be had.
  setenv("MONGOC_DISABLE_SHM", "1", 0);
  try {
    return cli::run(argc, argv);
  } catch (const cli::UsageError& error) {
    return cli::complain(error.what(), cli::kUsage);
  } catch (const pts::Error& error) {
    return cli::complain(error.what(), cli::exit_code(error.status()));
  } catch (const std::exception& error) {
    return cli::complain(error.what(), 1);
  }
}
