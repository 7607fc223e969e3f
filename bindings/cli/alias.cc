#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bindings/cli/commands.hpp"

namespace cli {
namespace {

using nlohmann::ordered_json;

struct AliasArguments {
  std::string name;
  std::string alias;
  std::string reason;
  std::uint64_t version = 0;
};

void report_alias(const Common& common, const AliasArguments& arguments, std::uint64_t version) {
  if (common.json) {
    ordered_json out{{"name", arguments.name}, {"version", version}};
    if (!arguments.alias.empty()) out["alias"] = arguments.alias;
    std::cout << out.dump() << '\n';
  } else {
    std::cout << arguments.name << '/' << version;
    if (!arguments.alias.empty()) {
      std::cout << " (" << arguments.name << '@' << arguments.alias << ')';
    }
    std::cout << '\n';
  }
}

std::string alias_line(const ordered_json& record) {
  const std::string to =
      record.value("deleted", false) ? "deleted" : "version " + record.at("version").dump();
  std::string line = "sequence " + record.at("sequence").dump() + "  " + to + "  " +
                     record.at("time").get<std::string>() + "  by " +
                     record.at("signer").get<std::string>();
  if (!record.at("signer_trusted").get<bool>()) line += " (no longer in this keyring)";
  const std::string reason = record.at("reason").get<std::string>();
  return line + (reason.empty() ? "" : "  " + reason);
}

void print_records(const Common& common, const AliasArguments& arguments, const std::string& text) {
  if (common.json) {
    std::cout << text << '\n';
    return;
  }
  for (const auto& record : ordered_json::parse(text)) {
    std::cout << arguments.name << '@' << record.at("alias").get<std::string>() << "  "
              << alias_line(record) << '\n';
  }
}

void set(const Common& common, const AliasArguments& arguments) {
  common.open_store().set_alias(arguments.name, arguments.alias, arguments.version,
                                common.open_keys(), arguments.reason, common.call());
  report_alias(common, arguments, arguments.version);
}

void list_aliases(const Common& common, const AliasArguments& arguments) {
  print_records(
      common, arguments,
      common.open_store().list_aliases(arguments.name, common.open_keys(), common.call()));
}

void show_alias(const Common& common, const AliasArguments& arguments) {
  const std::string text = common.open_store().show_alias(arguments.name, arguments.alias,
                                                          common.open_keys(), common.call());
  if (common.json) {
    std::cout << text << '\n';
    return;
  }
  const auto record = ordered_json::parse(text);
  for (const auto& [key, value] : record.items()) {
    std::cout << key << ": " << (value.is_string() ? value.get<std::string>() : value.dump())
              << '\n';
  }
}

void remove(const Common& common, const AliasArguments& arguments) {
  common.open_store().delete_alias(arguments.name, arguments.alias, common.open_keys(),
                                   arguments.reason, common.call());
  if (common.json) {
    std::cout << ordered_json{{"name", arguments.name},
                              {"alias", arguments.alias},
                              {"deleted", true}}
                     .dump()
              << '\n';
  } else {
    std::cout << "deleted " << arguments.name << '@' << arguments.alias
              << "; its history is still there\n";
  }
}

void roll_back(const Common& common, const AliasArguments& arguments) {
  const std::uint64_t now =
      common.open_store().rollback_alias(arguments.name, arguments.alias, common.open_keys(),
                                         arguments.version, arguments.reason, common.call());
  report_alias(common, arguments, now);
}

void history(const Common& common, const AliasArguments& arguments) {
  print_records(common, arguments,
                common.open_store().alias_history(arguments.name, arguments.alias,
                                                  common.open_keys(), common.call()));
}

using Verb = void (*)(const Common&, const AliasArguments&);

// A verb about NAME, and ALIAS where there is one.
CLI::App* add(CLI::App& parent, Common& common, const std::shared_ptr<AliasArguments>& arguments,
              const char* verb, const char* help, Verb run) {
  CLI::App* added = parent.add_subcommand(verb, help);
  added->add_option("NAME", arguments->name, "Model name")->required();
  added->callback([&common, arguments, run] {
    common.run = [&common, arguments, run] { run(common, *arguments); };
  });
  return added;
}

CLI::Option* add_alias_option(CLI::App* verb, AliasArguments& arguments) {
  return verb->add_option("ALIAS", arguments.alias, "Alias")->required();
}

void add_reason(CLI::App* verb, AliasArguments& arguments) {
  verb->add_option("--reason", arguments.reason, "Why, for the record");
}

}  // namespace

void add_alias_commands(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<AliasArguments>();
  CLI::App* alias = app.add_subcommand("alias", "Point aliases at versions, show and delete them");
  alias->require_subcommand(1);

  CLI::App* verb = add(*alias, common, arguments, "set",
                       "Point an alias at a version, as a new signed record", set);
  add_alias_option(verb, *arguments);
  verb->add_option("VERSION", arguments->version, "Version number")
      ->required()
      ->check(CLI::PositiveNumber);
  add_reason(verb, *arguments);

  add(*alias, common, arguments, "list", "List a model's aliases, verified", list_aliases);

  verb =
      add(*alias, common, arguments, "show", "Show an alias's last record, verified", show_alias);
  add_alias_option(verb, *arguments);

  verb = add(*alias, common, arguments, "delete",
             "End an alias, as a new signed record; its history stays", remove);
  add_alias_option(verb, *arguments);
  add_reason(verb, *arguments);

  verb = add(app, common, arguments, "rollback",
             "Point an alias back at an earlier version, as a new signed record", roll_back);
  add_alias_option(verb, *arguments)->required(false);
  verb->add_option("--to", arguments->version,
                   "Version number; the one before the present one if not given")
      ->check(CLI::PositiveNumber);
  add_reason(verb, *arguments);

  verb = add(app, common, arguments, "history", "Every record of an alias, verified, oldest first",
             history);
  add_alias_option(verb, *arguments);
}

}  // namespace cli
