#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "bindings/cli/commands.hpp"
#include "bindings/cli/terminal.hpp"

namespace cli {
namespace {

struct KeyArguments {
  std::string file;
  std::vector<std::string> others;
  std::string output;
  std::string role;
  bool passphrase = false;
};

std::string new_passphrase() {
  if (const char* passphrase = std::getenv("PTSECURE_PASSPHRASE")) return passphrase;
  std::string first = ask_passphrase("New passphrase");
  if (first.empty()) throw UsageError("the passphrase must not be empty");
  if (ask_passphrase("Again") != first) throw UsageError("the two passphrases differ");
  return first;
}

void save(const Common& common, const pts::Keyring& keys, const KeyArguments& arguments,
          const std::string& path) {
  keys.save(path, arguments.passphrase ? new_passphrase() : std::string());
  if (common.json) {
    std::cout
        << nlohmann::json{{"file", path}, {"keys", nlohmann::json::parse(keys.describe())}}.dump()
        << '\n';
  } else {
    std::cout << "wrote " << path << '\n';
  }
}

void show_keyring(const Common& common, const KeyArguments& arguments) {
  const std::string text = common.open_keys(arguments.file).describe();
  if (common.json) {
    std::cout << text << '\n';
    return;
  }
  for (const auto& key : nlohmann::json::parse(text)) {
    std::cout << key.at("kid").get<std::string>() << "  " << key.at("kty").get<std::string>()
              << "  " << (key.value("private", false) ? "private" : "public") << "  "
              << key.value("use", "");
    if (key.contains("records"))
      std::cout << "  signs " << joined(key["records"], ",") << " of " << joined(key["names"], ",");
    std::cout << '\n';
  }
}

// Verbs that read one keyring file and write another, or print it.
void derive(const Common& common, const KeyArguments& arguments, const pts::Keyring& keys) {
  if (!arguments.output.empty()) return save(common, keys, arguments, arguments.output);
  std::cout << keys.export_keys().view() << '\n';
}

// The keys of FILE and, to verify by, the public signing keys of the others. Its private keys go
// from text to text: nothing here reads them.
pts::Keyring trusting(const Common& common, const KeyArguments& arguments) {
  const pts::Keyring own = common.open_keys(arguments.file);
  std::set<std::string> known;
  for (const auto& key : nlohmann::json::parse(own.describe()))
    known.insert(key.at("kid").get<std::string>());
  const pts::Bytes text = own.export_keys();
  std::string set_text(text.view());
  set_text.erase(set_text.rfind(']'));
  for (const std::string& other : arguments.others) {
    const pts::Bytes signers = common.open_keys(other).split("verifier").export_keys();
    const auto set = nlohmann::json::parse(signers.view());
    for (const auto& key : set.at("keys"))
      if (known.insert(key.at("kid").get<std::string>()).second) set_text += "," + key.dump();
  }
  return pts::Keyring::parse(set_text + "]}");
}

}  // namespace

void add_key_commands(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<KeyArguments>();
  CLI::App* keygen = app.add_subcommand(
      "keygen",
      "Make a keyring with new keys for every role: one that signs manifests and log records, one "
      "that signs records of aliases, content keys and API keys and log records, and one that "
      "wraps");
  keygen->add_option("FILE", arguments->file, "New file, e.g. keys.jwks")->required();
  keygen->add_flag("--passphrase", arguments->passphrase,
                   "Encrypt the file with a passphrase, asked for or from PTSECURE_PASSPHRASE");
  keygen->callback([&common, arguments] {
    common.run = [&common, arguments] {
      save(common, pts::Keyring::generate(), *arguments, arguments->file);
    };
  });

  CLI::App* keys =
      app.add_subcommand("keys", "Show a keyring, or cut it down to a role or to its public keys");
  keys->require_subcommand(1);
  CLI::App* split = keys->add_subcommand("split", "Cut a keyring down to one role");
  split->add_option("FILE", arguments->file, "Keyring file")->required();
  split->add_option("--role", arguments->role, "publisher, opener, verifier or operator")
      ->required();
  split->add_option("-o,--output", arguments->output, "New file; printed if not given");
  split->add_flag("--passphrase", arguments->passphrase, "Encrypt the new file with a passphrase");
  split->callback([&common, arguments] {
    common.run = [&common, arguments] {
      derive(common, *arguments, common.open_keys(arguments->file).split(arguments->role));
    };
  });
  CLI::App* pub = keys->add_subcommand(
      "public", "The public keys alone, for others to verify with and wrap to");
  pub->add_option("FILE", arguments->file, "Keyring file")->required();
  pub->add_option("-o,--output", arguments->output, "New file; printed if not given");
  pub->callback([&common, arguments] {
    common.run = [&common, arguments] {
      derive(common, *arguments, common.open_keys(arguments->file).public_part());
    };
  });
  CLI::App* trust = keys->add_subcommand(
      "trust", "A keyring and, to verify by, the public signing keys of others");
  trust->add_option("FILE", arguments->file, "Keyring file")->required();
  trust->add_option("OTHER", arguments->others, "Keyring files, public ones do")->required();
  trust->add_option("-o,--output", arguments->output, "New file; printed if not given");
  trust->add_flag("--passphrase", arguments->passphrase, "Encrypt the new file with a passphrase");
  trust->callback([&common, arguments] {
    common.run = [&common, arguments] { derive(common, *arguments, trusting(common, *arguments)); };
  });
  CLI::App* list = keys->add_subcommand("show", "List a keyring's keys; prints no secret");
  list->add_option("FILE", arguments->file, "Keyring file")->required();
  list->callback([&common, arguments] {
    common.run = [&common, arguments] { show_keyring(common, *arguments); };
  });
}

}  // namespace cli
