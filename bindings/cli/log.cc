#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bindings/cli/commands.hpp"

namespace cli {
namespace {

using nlohmann::ordered_json;

struct LogArguments {
  std::uint64_t first = 1;
  std::uint64_t limit = 0;
  std::string head;
};

std::string line_of(const ordered_json& record) {
  std::string line = record.at("sequence").dump() + "  " + record.at("time").get<std::string>() +
                     "  " + record.at("what").get<std::string>();
  if (record.contains("confirms")) line += " " + record["confirms"].dump();
  if (record.contains("name")) line += "  " + record["name"].get<std::string>();
  if (record.contains("version")) line += "/" + record["version"].dump();
  if (record.contains("chain")) {
    line +=
        "  " + record["chain"].get<std::string>() + " record " + record.at("chain_sequence").dump();
  }
  line += "  by " + record.at("signer").get<std::string>();
  if (!record.at("signer_trusted").get<bool>()) line += " (no longer in this keyring)";
  const std::string reason = record.at("reason").get<std::string>();
  return line + (reason.empty() ? "" : "  " + reason);
}

void show_log(const Common& common, const LogArguments& arguments) {
  const std::string text =
      common.open_store().log(common.open_keys(), arguments.first, arguments.limit, common.call());
  if (common.json) {
    std::cout << text << '\n';
    return;
  }
  for (const auto& record : ordered_json::parse(text)) std::cout << line_of(record) << '\n';
}

void verify_log(const Common& common, const LogArguments& arguments) {
  auto checks = ordered_json::array();
  const auto on_check = [&](const char* check, pts_status status, const char* detail) {
    checks.push_back({{"check", check}, {"status", pts_status_name(status)}, {"detail", detail}});
    if (!common.json)
      std::cout << (status == PTS_OK ? "ok    " : "FAIL  ") << check << ": " << detail << '\n';
  };
  const auto finish = [&](bool ok) {
    if (common.json) std::cout << ordered_json{{"ok", ok}, {"checks", checks}}.dump() << '\n';
  };
  try {
    common.open_store().verify_log(common.open_keys(), on_check, arguments.head, common.call());
  } catch (const pts::Error&) {
    finish(false);
    throw;
  }
  finish(true);
}

// The state verbs are about a file, also where --no-state is in the environment's defaults.
std::string need_state_file(const Common& common) {
  std::string path = common.state_file();
  if (path.empty()) throw UsageError("there is no state to look at with --no-state");
  return path;
}

void show_state(const Common& common) {
  const std::string path = need_state_file(common);
  const std::string text = pts::show_state(path);
  if (common.json) {
    std::cout << ordered_json{{"file", path}, {"state", ordered_json::parse(text)}}.dump() << '\n';
    return;
  }
  std::cout << path << '\n';
  const auto state = ordered_json::parse(text);
  for (const auto& [id, store] : state.at("stores").items()) {
    std::cout << "store " << id << '\n';
    for (const auto& [place, at] : state.at("places").items()) {
      if (at == id) std::cout << "  at " << place << '\n';
    }
    for (const auto& [name, mark] : store.at("versions").items()) {
      std::cout << "  newest " << name << '/' << mark.at("version") << '\n';
    }
    for (const auto& [chain, mark] : store.at("chains").items()) {
      std::cout << "  " << chain << "  record " << mark.at("sequence") << ':'
                << mark.at("record").get<std::string>() << '\n';
    }
  }
}

void reset_state(const Common& common, bool all) {
  if (!all && common.store.empty()) {
    throw UsageError("say what to forget: --store URI, or --all");
  }
  const std::string path = need_state_file(common);
  pts::reset_state(path, all ? std::string() : common.store);
  if (common.json) {
    std::cout << ordered_json{{"file", path}, {"forgot", all ? "everything" : common.store}}.dump()
              << '\n';
  } else {
    std::cout << path << " forgot " << (all ? "everything" : common.store) << '\n';
  }
}

void add_log(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<LogArguments>();
  CLI::App* log = app.add_subcommand("log", "The store's log of every signed change");
  log->require_subcommand(1);
  CLI::App* show_verb = log->add_subcommand("show", "Print the log, verified, oldest first");
  show_verb->add_option("--from", arguments->first, "From this record on")
      ->check(CLI::PositiveNumber);
  show_verb->add_option("--limit", arguments->limit, "At most so many (0 = all)")
      ->check(CLI::NonNegativeNumber);
  show_verb->callback([&common, arguments] {
    common.run = [&common, arguments] { show_log(common, *arguments); };
  });
  CLI::App* verify_verb = log->add_subcommand(
      "verify", "Find removed, altered and reordered records, and changes that don't agree");
  verify_verb->add_option(
      "--head", arguments->head,
      "SEQUENCE:DIGEST that the log must lead past, as this command printed it");
  verify_verb->callback([&common, arguments] {
    common.run = [&common, arguments] { verify_log(common, *arguments); };
  });
}

void add_state(CLI::App& app, Common& common) {
  const auto all = std::make_shared<bool>(false);
  CLI::App* state = app.add_subcommand("state", "What this client remembers of the stores it used");
  state->require_subcommand(1);
  CLI::App* show_verb = state->add_subcommand("show", "Print it");
  show_verb->callback([&common] { common.run = [&common] { show_state(common); }; });
  CLI::App* reset = state->add_subcommand(
      "reset", "Forget the store (--store), so that what it shows next is believed");
  reset->add_flag("--all", *all, "Forget everything, also where the file is damaged");
  reset->callback([&common, all] { common.run = [&common, all] { reset_state(common, *all); }; });
}

}  // namespace

void add_log_commands(CLI::App& app, Common& common) {
  add_log(app, common);
  add_state(app, common);
}

}  // namespace cli
