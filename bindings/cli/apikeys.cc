#include <ctime>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bindings/cli/commands.hpp"
#include "bindings/cli/terminal.hpp"

namespace cli {
namespace {

struct ApiKeyArguments {
  std::string id;
  std::string owner;
  std::vector<std::string> models;
  std::vector<std::string> scopes;
  std::string not_before;
  std::string expires;
  std::string grace;
  double rate = 0;
  std::uint32_t burst = 0;
  std::uint64_t bytes_rate = 0;
  std::string reason;
};

// "90d", "12h", "30m", "45s"; nothing for another text.
std::optional<std::chrono::seconds> parse_duration(const std::string& text) {
  constexpr std::size_t kMaxDigits = 9;
  const std::size_t digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits > kMaxDigits || digits + 1 != text.size()) return std::nullopt;
  const auto count = std::chrono::seconds(std::stoll(text.substr(0, digits)));
  switch (text.back()) {
    case 'd':
      return count * 86400;
    case 'h':
      return count * 3600;
    case 'm':
      return count * 60;
    case 's':
      return count;
    default:
      return std::nullopt;
  }
}

// Seconds since 1970 of "2027-01-31", "2027-01-31T12:00:00Z", or of a duration from now on.
std::chrono::seconds parse_time(const std::string& text, const char* option) {
  if (text.empty()) return std::chrono::seconds(0);
  if (const auto duration = parse_duration(text)) {
    return std::chrono::seconds(std::time(nullptr)) + *duration;
  }
  for (const char* format : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"}) {
    std::tm utc{};
    const char* end = strptime(text.c_str(), format, &utc);
    if (end == nullptr || *end != '\0') continue;
    const std::tm written = utc;
    const std::time_t time = timegm(&utc);  // turns 31 February into March
    if (utc.tm_mday == written.tm_mday) return std::chrono::seconds(time);
  }
  throw UsageError(std::string(option) +
                   " is a date (2027-01-31), a time in UTC (2027-01-31T12:00:00Z) or a duration "
                   "from now (90d, 12h, 30m, 45s), not '" +
                   text + "'");
}

std::chrono::seconds parse_grace(const std::string& text) {
  if (text.empty()) return std::chrono::seconds(0);
  if (const auto duration = parse_duration(text)) return *duration;
  throw UsageError("--grace is a duration (7d, 12h, 30m, 45s), not '" + text + "'");
}

int parse_scopes(const std::vector<std::string>& names) {
  int scopes = 0;
  for (const std::string& name : names)
    scopes |= name == "admin" ? PTS_SCOPE_ADMIN : PTS_SCOPE_INFER;
  return scopes;
}

// "5/s" or "-".
std::string limit(const nlohmann::json& value, const char* unit) {
  return value.is_null() ? "-" : value.dump() + unit;
}

std::string text_or_dash(const nlohmann::json& value) {
  return value.is_null() ? "-" : value.get<std::string>();
}

// The key goes to standard output alone, so that a script can take it from there.
void print_new(const Common& common, const pts::NewApiKey& made) {
  auto record = nlohmann::ordered_json::parse(made.record);
  if (common.json) {
    record["key"] = made.key.view();
    std::cout << record.dump() << '\n';
    return;
  }
  std::cout << made.key.view() << '\n';
  if (common.quiet) return;
  std::cerr << "API key " << record.at("id").get<std::string>() << " of "
            << record.at("owner").get<std::string>()
            << ". It is shown this once; the store keeps only its SHA-256.\n";
}

void print_record(const nlohmann::json& key) {
  const auto line = [](const char* name, const std::string& value) {
    std::cout << name << std::string(14 - std::char_traits<char>::length(name), ' ') << value
              << '\n';
  };
  line("id", key.at("id").get<std::string>());
  line("owner", key.at("owner").get<std::string>());
  line("state", key.at("state").get<std::string>());
  line("scopes", joined(key.at("scopes"), ","));
  line("models", joined(key.at("models"), ","));
  line("rate", limit(key.at("rate"), " requests/s") + ", burst " + limit(key.at("burst"), ""));
  line("bytes rate", limit(key.at("bytes_rate"), " bytes/s"));
  line("created", text_or_dash(key.at("created")));
  line("not before", text_or_dash(key.at("not_before")));
  line("expires", text_or_dash(key.at("expires")));
  if (!key.at("old_secret_until").is_null())
    line("old secret", "until " + key.at("old_secret_until").get<std::string>());
  line("sequence", key.at("sequence").dump());
  line("changed", key.at("time").get<std::string>() + "  " + key.at("reason").get<std::string>());
  line("signer", key.at("signer").get<std::string>());
}

void create(const Common& common, const ApiKeyArguments& arguments) {
  pts::ApiKeyOptions options;
  options.owner = arguments.owner;
  options.models = arguments.models;
  options.scopes = parse_scopes(arguments.scopes);
  options.rate = arguments.rate;
  options.burst = arguments.burst;
  options.bytes_rate = arguments.bytes_rate;
  options.not_before = parse_time(arguments.not_before, "--not-before");
  options.expires = parse_time(arguments.expires, "--expires");
  options.reason = arguments.reason;
  const pts::Store store = common.open_store();
  const pts::Keyring keys = common.open_keys();
  print_new(common, pts::ApiKeyManager(store, keys).create(options, common.call()));
}

void rotate(const Common& common, const ApiKeyArguments& arguments) {
  const auto grace = parse_grace(arguments.grace);
  const pts::Store store = common.open_store();
  const pts::Keyring keys = common.open_keys();
  print_new(
      common,
      pts::ApiKeyManager(store, keys).rotate(arguments.id, grace, arguments.reason, common.call()));
}

void set_state(const Common& common, const ApiKeyArguments& arguments, const char* state) {
  const pts::Store store = common.open_store();
  const pts::Keyring keys = common.open_keys();
  pts::ApiKeyManager(store, keys).set_state(arguments.id, state, arguments.reason, common.call());
  if (common.json) {
    std::cout << nlohmann::ordered_json{{"id", arguments.id}, {"state", state}}.dump() << '\n';
  } else {
    std::cout << arguments.id << ' ' << state << '\n';
  }
}

void show_apikey(const Common& common, const ApiKeyArguments& arguments) {
  const pts::Store store = common.open_store();
  const pts::Keyring keys = common.open_keys();
  const std::string text = pts::ApiKeyManager(store, keys).show(arguments.id, common.call());
  if (common.json) {
    std::cout << text << '\n';
  } else {
    print_record(nlohmann::json::parse(text));
  }
}

void list_apikeys(const Common& common) {
  const pts::Store store = common.open_store();
  const pts::Keyring keys = common.open_keys();
  const std::string text = pts::ApiKeyManager(store, keys).list(common.call());
  if (common.json) {
    std::cout << text << '\n';
    return;
  }
  for (const auto& key : nlohmann::json::parse(text)) {
    std::cout << key.at("id").get<std::string>() << "  ";
    if (key.contains("error")) {
      std::cout << "NOT TRUSTED: " << key["error"].get<std::string>() << '\n';
      continue;
    }
    std::cout << key.at("state").get<std::string>() << "  " << joined(key.at("scopes"), ",") << "  "
              << joined(key.at("models"), ",") << "  expires " << text_or_dash(key.at("expires"))
              << "  " << key.at("owner").get<std::string>() << '\n';
  }
}

void add_create(CLI::App& apikey, Common& common) {
  const auto arguments = std::make_shared<ApiKeyArguments>();
  CLI::App* verb =
      apikey.add_subcommand("create", "Make an API key; its text is printed this once");
  verb->add_option("--owner", arguments->owner, "Whom it is for")->required();
  verb->add_option("--model", arguments->models,
                   "Model name, or a prefix followed by '*'; may be repeated")
      ->required();
  verb->add_option("--scope", arguments->scopes, "infer or admin; may be repeated")
      ->required()
      ->check(CLI::IsMember({"infer", "admin"}));
  verb->add_option("--not-before", arguments->not_before,
                   "Valid from this UTC date or time on, or after a duration (12h)");
  verb->add_option("--expires", arguments->expires,
                   "Valid until this UTC date or time, or for a duration (90d)");
  verb->add_option("--rate", arguments->rate,
                   "Requests per second, e.g. 0.5; unlimited if not given");
  verb->add_option("--burst", arguments->burst, "Requests at once; one second's if not given");
  verb->add_option("--bytes-rate", arguments->bytes_rate,
                   "Tensor bytes per second; unlimited if not given");
  verb->add_option("--reason", arguments->reason, "Why, for the record");
  verb->callback(
      [&common, arguments] { common.run = [&common, arguments] { create(common, *arguments); }; });
}

void add_rotate(CLI::App& apikey, Common& common) {
  const auto arguments = std::make_shared<ApiKeyArguments>();
  CLI::App* verb =
      apikey.add_subcommand("rotate", "Give an API key a new secret; it is printed this once");
  verb->add_option("ID", arguments->id, "The key's id")->required();
  verb->add_option("--grace", arguments->grace,
                   "How long the old secret stays valid, e.g. 7d; not at all if not given");
  verb->add_option("--reason", arguments->reason, "Why, for the record");
  verb->callback(
      [&common, arguments] { common.run = [&common, arguments] { rotate(common, *arguments); }; });
}

void add_state_verb(CLI::App& apikey, Common& common, const char* name, const char* state,
                    const char* help) {
  const auto arguments = std::make_shared<ApiKeyArguments>();
  CLI::App* verb = apikey.add_subcommand(name, help);
  verb->add_option("ID", arguments->id, "The key's id")->required();
  verb->add_option("--reason", arguments->reason, "Why, for the record");
  verb->callback([&common, arguments, state] {
    common.run = [&common, arguments, state] { set_state(common, *arguments, state); };
  });
}

}  // namespace

void add_apikey_commands(CLI::App& app, Common& common) {
  CLI::App* apikey = app.add_subcommand("apikey", "Make, list and withdraw servers' API keys");
  apikey->require_subcommand(1);
  add_create(*apikey, common);
  CLI::App* listed = apikey->add_subcommand("list", "List the API keys, verified");
  listed->callback([&common] { common.run = [&common] { list_apikeys(common); }; });
  const auto arguments = std::make_shared<ApiKeyArguments>();
  CLI::App* shown = apikey->add_subcommand("show", "Show an API key, verified");
  shown->add_option("ID", arguments->id, "The key's id")->required();
  shown->callback([&common, arguments] {
    common.run = [&common, arguments] { show_apikey(common, *arguments); };
  });
  add_state_verb(*apikey, common, "disable", "disabled",
                 "Disable an API key for now; servers refuse it within 2 s");
  add_state_verb(*apikey, common, "enable", "active", "Enable a disabled API key again");
  add_state_verb(*apikey, common, "delete", "deleted", "Disable an API key for good");
  add_rotate(*apikey, common);
}

}  // namespace cli
