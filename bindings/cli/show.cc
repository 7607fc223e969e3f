#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bindings/cli/commands.hpp"
#include "bindings/cli/terminal.hpp"

namespace cli {
namespace {

using nlohmann::ordered_json;

struct ShowArguments {
  std::string reference;
  std::string after;
  std::uint64_t limit = 0;
  bool example = false;
  Expected expected;
};

// Rows of text in columns, the last one ragged.
class Table {
 public:
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print(std::ostream& out) const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i) {
        line += row[i];
        if (i + 1 < row.size()) line += std::string(widths[i] - row[i].size() + 2, ' ');
      }
      out << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string labels_of(const ordered_json& entry) {
  std::string out;
  if (!entry.contains("labels")) return out;
  for (const auto& [key, value] : entry["labels"].items()) {
    out += (out.empty() ? "" : " ") + key + "=" + value.get<std::string>();
  }
  return out;
}

std::vector<std::string> row_of(const std::string& name, const ordered_json& entry) {
  if (entry.value("damaged", false)) return {name, "damaged: run `ptsecure verify`"};
  return {name, human_size(entry.at("size").get<std::uint64_t>()),
          entry.at("created").get<std::string>(), entry.at("format").get<std::string>()};
}

void list_models(const Common& common, const ShowArguments& arguments) {
  const std::string text =
      common.open_store().list(arguments.after, arguments.limit, common.call());
  if (common.json) {
    std::cout << text << '\n';
    return;
  }
  Table table;
  table.add({"NEWEST", "SIZE", "CREATED", "FORMAT", "ALIASES OF ANY VERSION"});
  const auto parsed = ordered_json::parse(text);
  for (const auto& model : parsed.at("models")) {
    auto row =
        row_of(model.at("name").get<std::string>() + "/" + model.at("version").dump(), model);
    row.push_back(joined(model.at("aliases"), " "));
    table.add(std::move(row));
  }
  table.print(std::cout);
  if (!common.quiet)
    std::cerr << "The store's index, not verified; show, verify and infer verify.\n";
}

void list_versions(const Common& common, const ShowArguments& arguments) {
  const std::string text =
      common.open_store().list_versions(arguments.reference, 0, arguments.limit, common.call());
  if (common.json) {
    std::cout << text << '\n';
    return;
  }
  Table table;
  table.add({"VERSION", "SIZE", "CREATED", "FORMAT", "LABELS"});
  const auto parsed = ordered_json::parse(text);
  for (const auto& version : parsed.at("versions")) {
    auto row = row_of(arguments.reference + "/" + version.at("version").dump(), version);
    row.push_back(labels_of(version));
    table.add(std::move(row));
  }
  table.print(std::cout);
}

std::string spec_text(const ordered_json& spec) {
  std::string out = spec.at("name").get<std::string>() + ": ";
  if (spec.contains("datatype"))
    out += spec["datatype"].get<std::string>();
  else
    out += spec.value("kind", "any");
  if (spec.contains("shape")) out += spec["shape"].dump();
  return out + (spec.value("optional", false) ? " (optional)" : "");
}

void show_version(const Common& common, const ShowArguments& arguments) {
  const pts::Store store = common.open_store();
  const pts::Keyring keys = common.open_keys();
  if (arguments.example) {
    std::cout << store.fetch(arguments.reference, keys, arguments.expected.options(), common.call())
                     .example()
              << '\n';
    return;
  }
  std::string reference = arguments.reference;
  if (arguments.expected.any()) {
    // What came up to it is what is shown, whatever the alias points at by then.
    const auto package = store.fetch(reference, keys, arguments.expected.options(), common.call());
    reference = package.name() + "/" + std::to_string(package.version());
  }
  const std::string text = store.show(reference, keys, common.call());
  if (common.json) {
    std::cout << text << '\n';
    return;
  }
  const auto shown = ordered_json::parse(text);
  Table table;
  table.add({"name", shown.at("name").get<std::string>()});
  table.add({"version", shown.at("version").dump()});
  table.add({"created", shown.at("created").get<std::string>()});
  table.add({"format", shown.at("format").get<std::string>() +
                           (shown.value("stateful", false) ? ", stateful" : "")});
  table.add(
      {"size", human_size(shown.at("payloads").at(0).at("plaintext_size").get<std::uint64_t>())});
  for (const auto& input : shown.at("inputs")) table.add({"input", spec_text(input)});
  for (const auto& output : shown.at("outputs")) table.add({"output", spec_text(output)});
  table.add({"labels", labels_of(shown)});
  table.add({"aliases", joined(shown.at("aliases"), " ")});
  table.add({"signed by", shown.at("signer").get<std::string>()});
  table.add({"key", shown.at("key_status").get<std::string>()});
  table.print(std::cout);
}

void verify_version(const Common& common, const ShowArguments& arguments) {
  auto checks = ordered_json::array();
  ProgressBar bar("verifying " + arguments.reference, common.show_progress());
  const auto on_check = [&](const char* check, pts_status status, const char* detail) {
    checks.push_back({{"check", check}, {"status", pts_status_name(status)}, {"detail", detail}});
    bar.clear();
    if (!common.json)
      std::cout << (status == PTS_OK ? "ok    " : "FAIL  ") << check << ": " << detail << '\n';
  };
  const auto finish = [&](bool ok) {
    if (common.json)
      std::cout
          << ordered_json{{"reference", arguments.reference}, {"ok", ok}, {"checks", checks}}.dump()
          << '\n';
  };
  try {
    common.open_store().verify(arguments.reference, common.open_keys(), on_check,
                               arguments.expected.options(), common.call(bar));
  } catch (const pts::Error&) {
    finish(false);
    throw;
  }
  finish(true);
}

void add_list(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<ShowArguments>();
  CLI::App* verb = app.add_subcommand(
      "list", "List models, or the versions of one (the store's index, not verified)");
  verb->add_option("NAME", arguments->reference, "Model whose versions to list");
  verb->add_option("--after", arguments->after, "Only models whose names come after this one");
  verb->add_option("--limit", arguments->limit, "At most so many (0 = all)")
      ->check(CLI::NonNegativeNumber);
  verb->callback([&common, arguments] {
    common.run = [&common, arguments] {
      arguments->reference.empty() ? list_models(common, *arguments)
                                   : list_versions(common, *arguments);
    };
  });
}

}  // namespace

void add_show_commands(CLI::App& app, Common& common) {
  add_list(app, common);
  const auto arguments = std::make_shared<ShowArguments>();
  CLI::App* show_verb = app.add_subcommand("show", "Show a version, verified");
  show_verb->add_option("REF", arguments->reference, "NAME, NAME/7 or NAME@alias")->required();
  show_verb->add_flag("--example", arguments->example, "Print a ready infer request body instead");
  arguments->expected.add_to(*show_verb);
  show_verb->callback([&common, arguments] {
    common.run = [&common, arguments] { show_version(common, *arguments); };
  });
  CLI::App* verify_verb =
      app.add_subcommand("verify", "Verify everything that is stored about a version");
  verify_verb->add_option("REF", arguments->reference, "NAME, NAME/7 or NAME@alias")->required();
  arguments->expected.add_to(*verify_verb);
  verify_verb->callback([&common, arguments] {
    common.run = [&common, arguments] { verify_version(common, *arguments); };
  });
  CLI::App* version =
      app.add_subcommand("version", "Versions of this library and what it was built with");
  version->callback([&common] {
    common.run = [&common] {
      if (common.json)
        std::cout << pts::features() << '\n';
      else
        std::cout << ordered_json::parse(pts::features()).dump(2) << '\n';
    };
  });
}

}  // namespace cli
