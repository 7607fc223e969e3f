#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bindings/cli/commands.hpp"
#include "bindings/cli/terminal.hpp"

namespace cli {
namespace {

struct PublishArguments {
  std::string model;
  std::string name;
  std::string format;
  std::string weights_of;
  std::string alias;
  std::vector<std::string> labels;
  std::vector<std::string> samples;
  std::string jwk;
  std::string sha256;
  std::string gridfs;
  std::string bucket = "fs";
  bool by_id = false;
  std::string gridfs_jwk;
  std::string target;
  std::string target_keys;
};

constexpr const char* kFormatHelp =
    "torchscript or aotinductor (what the bytes are, if not given), or opaque: any bytes, never "
    "run";

std::map<std::string, std::string> parse_labels(const std::vector<std::string>& labels) {
  std::map<std::string, std::string> out;
  for (const std::string& label : labels) {
    const auto equals = label.find('=');
    if (equals == std::string::npos || equals == 0)
      throw UsageError("a label is KEY=VALUE, not '" + label + "'");
    out[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return out;
}

void report(const Common& common, const std::string& name, std::uint64_t version,
            const std::string& alias) {
  if (common.json) {
    nlohmann::ordered_json out{{"name", name}, {"version", version}};
    if (!alias.empty()) out["alias"] = alias;
    std::cout << out.dump() << '\n';
  } else {
    std::cout << name << '/' << version << (alias.empty() ? "" : " (" + name + "@" + alias + ")")
              << '\n';
  }
}

void publish(const Common& common, const PublishArguments& arguments) {
  const pts::Store store = common.open_store();
  const pts::Keyring keys = common.open_keys();
  pts::PublishOptions options;
  options.format = arguments.format;
  options.alias = arguments.alias;
  options.weights_of = arguments.weights_of;
  options.labels = parse_labels(arguments.labels);
  std::vector<pts::Value> samples;
  for (const std::string& file : arguments.samples) {
    if (is_npy(file))
      samples.push_back(read_npy(file));
    else
      options.sample_json = read_file(file);
  }
  for (const pts::Value& sample : samples) options.sample.emplace_back(sample.get());
  ProgressBar bar("publishing " + arguments.name, common.show_progress());
  const std::uint64_t version = store.publish(arguments.name, pts::Source::file(arguments.model),
                                              keys, options, common.call(bar));
  report(common, arguments.name, version, arguments.alias);
}

pts::Source jwe_source(const PublishArguments& arguments) {
  if (arguments.gridfs.empty()) return pts::Source::file(arguments.model);
  pts::GridfsFile file;
  file.uri = arguments.gridfs;
  file.bucket = arguments.bucket;
  (arguments.by_id ? file.id : file.filename) = arguments.model;
  return pts::Source::gridfs(file);
}

pts::Source jwk_source(const PublishArguments& arguments) {
  if (arguments.gridfs_jwk.empty()) return pts::Source::file(arguments.jwk);
  pts::GridfsFile file;
  file.uri = arguments.gridfs;
  file.bucket = arguments.bucket;
  file.filename = arguments.gridfs_jwk;
  return pts::Source::gridfs(file);
}

void import_model(const Common& common, const PublishArguments& arguments) {
  const pts::Store store = common.open_store();
  const pts::Keyring keys = common.open_keys();
  pts::PublishOptions options;
  options.format = arguments.format;
  options.alias = arguments.alias;
  options.labels = parse_labels(arguments.labels);
  ProgressBar bar("importing " + arguments.name, common.show_progress());
  const pts::Source jwk = jwk_source(arguments);
  pts::ImportOptions from;
  from.jwk_source = &jwk;
  from.sha256 = arguments.sha256;
  const std::uint64_t version = store.import_jwe(arguments.name, jwe_source(arguments), keys, from,
                                                 options, common.call(bar));
  report(common, arguments.name, version, arguments.alias);
}

void copy(const Common& common, const PublishArguments& arguments) {
  const pts::Store source = common.open_store();
  const pts::Store target = common.open_store(arguments.target);
  const pts::Keyring keys = common.open_keys();
  const pts::Keyring target_keys =
      arguments.target_keys.empty() ? common.open_keys() : common.open_keys(arguments.target_keys);
  pts::PublishOptions options;
  options.alias = arguments.alias;
  options.weights_of = arguments.weights_of;
  options.labels = parse_labels(arguments.labels);
  ProgressBar bar("copying " + arguments.name, common.show_progress());
  const std::uint64_t version =
      source.copy(arguments.name, keys, target, target_keys, options, common.call(bar));
  report(common, arguments.name.substr(0, arguments.name.find_first_of("/@")), version,
         arguments.alias);
}

void add_publish(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<PublishArguments>();
  CLI::App* verb =
      app.add_subcommand("publish", "Seal a model and store it as the next version of NAME");
  verb->add_option("MODEL", arguments->model, "Model file")->required();
  verb->add_option("NAME", arguments->name, "Model name")->required();
  verb->add_option("--alias", arguments->alias, "Point this alias at the new version");
  verb->add_option("--label", arguments->labels,
                   "KEY=VALUE, stored readable and signed; may be repeated");
  verb->add_option("--sample", arguments->samples,
                   "Input to record datatypes and shapes from: a V2 JSON request, or an .npy file "
                   "per input, in order");
  verb->add_option("--format", arguments->format, kFormatHelp);
  verb->add_option("--weights-of", arguments->weights_of,
                   "REF of a compiled version: MODEL is weights for its program (safetensors, or "
                   "torch.save(model.state_dict(), ...)), which the new version shares");
  verb->callback(
      [&common, arguments] { common.run = [&common, arguments] { publish(common, *arguments); }; });
}

void add_import(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<PublishArguments>();
  CLI::App* verb = app.add_subcommand(
      "import", "Publish the model that a JWE of a whole file holds, as the next version of NAME");
  verb->add_option("FILE", arguments->model, "JWE: compact or JSON")->required();
  verb->add_option("NAME", arguments->name, "Model name")->required();
  CLI::Option_group* key = verb->add_option_group("the key that opens it");
  key->add_option("--jwk", arguments->jwk, "File with the JWK that opens it");
  CLI::Option* gridfs =
      verb->add_option("--gridfs", arguments->gridfs,
                       "mongodb:// URI of a database: FILE, the newest of that name, is in its "
                       "GridFS and not on disk");
  verb->add_option("--bucket", arguments->bucket, "Of that GridFS; fs if not given")->needs(gridfs);
  verb->add_flag("--by-id", arguments->by_id, "FILE is the file's _id there, not its name")
      ->needs(gridfs);
  key->add_option("--gridfs-jwk", arguments->gridfs_jwk,
                  "Name of the file in the same bucket that holds the JWK; needs --sha256")
      ->needs(gridfs);
  key->require_option(1);
  verb->add_option("--sha256", arguments->sha256,
                   "SHA-256 of the model in hex; required with an RSA or EC key, and with "
                   "--gridfs-jwk");
  verb->add_option("--alias", arguments->alias, "Point this alias at the new version");
  verb->add_option("--label", arguments->labels,
                   "KEY=VALUE, stored readable and signed; may be repeated");
  verb->add_option("--format", arguments->format, kFormatHelp);
  verb->callback([&common, arguments] {
    common.run = [&common, arguments] { import_model(common, *arguments); };
  });
}

void add_copy(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<PublishArguments>();
  CLI::App* verb =
      app.add_subcommand("copy", "Verify a version and publish it to another store, signed for it");
  verb->add_option("REF", arguments->name, "NAME, NAME/7 or NAME@alias")->required();
  verb->add_option("--to", arguments->target, "Store to copy to")->required();
  verb->add_option("--to-keys", arguments->target_keys,
                   "Keyring to sign and wrap with there; --keys if not given");
  verb->add_option("--alias", arguments->alias, "Point this alias at the new version there");
  verb->add_option("--label", arguments->labels, "KEY=VALUE to add; may be repeated");
  verb->add_option("--weights-of", arguments->weights_of,
                   "Weights published with --weights-of: REF there whose program, the same, they "
                   "share; copied along if not given");
  verb->callback(
      [&common, arguments] { common.run = [&common, arguments] { copy(common, *arguments); }; });
}

}  // namespace

void add_publish_commands(CLI::App& app, Common& common) {
  add_publish(app, common);
  add_import(app, common);
  add_copy(app, common);
}

}  // namespace cli
