#include <iostream>
#include <memory>

#include "bindings/cli/commands.hpp"
#include "bindings/cli/terminal.hpp"

namespace cli {
namespace {

struct InferArguments {
  std::string reference;
  std::vector<std::string> inputs;
  std::string method;
  std::string verify = "signed";
  std::string device;
  std::string folder;
  Expected expected;
};

pts::Verify verify_level(const std::string& name) {
  if (name == "signed") return pts::Verify::signed_;
  if (name == "aead") return pts::Verify::aead;
  throw UsageError("--verify is signed or aead, not '" + name + "'");
}

// "name=file.npy" or "file.npy".
pts::Value read_input(const std::string& argument, std::string& name) {
  const auto equals = argument.find('=');
  if (equals == std::string::npos) return read_npy(argument);
  name = argument.substr(0, equals);
  return read_npy(argument.substr(equals + 1));
}

std::string infer_npy(const Common& common, const pts::Model& model,
                      const InferArguments& arguments) {
  std::vector<pts::Value> values;
  std::vector<pts::ValueView> inputs;
  pts::InferOptions options;
  options.method = arguments.method;
  for (const std::string& argument : arguments.inputs) {
    options.input_names.emplace_back();
    values.push_back(read_input(argument, options.input_names.back()));
  }
  inputs.reserve(values.size());
  for (const pts::Value& value : values) inputs.emplace_back(value.get());
  return model.result_json(model.infer(inputs, options, common.call()), arguments.method);
}

void infer(const Common& common, const InferArguments& arguments) {
  const pts::Store store = common.open_store();
  const pts::Keyring keys = common.open_keys();
  pts::OpenOptions options = arguments.expected.options();
  options.verify = verify_level(arguments.verify);
  options.device = arguments.device;
  std::string request;
  const bool npy = is_npy(arguments.inputs.front());
  if (!npy) {
    if (arguments.inputs.size() != 1)
      throw UsageError("--input takes one JSON request, or .npy files only");
    request = read_file(arguments.inputs.front());
  }
  const pts::Model model = [&] {
    ProgressBar bar("opening " + arguments.reference, common.show_progress());
    return store.load(arguments.reference, keys, options, common.call(bar));
  }();
  std::cout << (npy ? infer_npy(common, model, arguments)
                    : model.infer_json(request, arguments.method, common.call()))
            << '\n';
}

void export_parts(const Common& common, const InferArguments& arguments) {
  const pts::OpenOptions options = arguments.expected.options();
  ProgressBar bar("exporting " + arguments.reference, common.show_progress());
  common.open_store()
      .fetch(arguments.reference, common.open_keys(), options, common.call())
      .export_to(arguments.folder, options, common.call(bar));
  bar.clear();
  if (!common.json) std::cout << "wrote " << arguments.folder << '\n';
}

}  // namespace

bool is_npy(const std::string& path) {
  return path.size() > 4 && path.compare(path.size() - 4, 4, ".npy") == 0;
}

pts::Value read_npy(const std::string& path) {
  const std::string content = read_file(path);
  return pts::Value::from_npy(content.data(), content.size());
}

void add_infer_commands(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<InferArguments>();
  CLI::App* verb =
      app.add_subcommand("infer", "Open a model and run it; prints a V2 JSON response");
  verb->add_option("REF", arguments->reference, "NAME, NAME/7 or NAME@alias")->required();
  verb->add_option("--input", arguments->inputs,
                   "A V2 JSON request, or FILE.npy or NAME=FILE.npy per input")
      ->required();
  verb->add_option("--method", arguments->method, "Method to run (default: forward)");
  verb->add_option("--verify", arguments->verify, "signed (default) or aead");
  verb->add_option("--device", arguments->device, "cpu (default), cuda or cuda:N");
  arguments->expected.add_to(*verb);
  verb->callback(
      [&common, arguments] { common.run = [&common, arguments] { infer(common, *arguments); }; });

  CLI::App* parts = app.add_subcommand(
      "export", "Write a version's standard parts, still encrypted, for stock tools");
  parts->add_option("REF", arguments->reference, "NAME, NAME/7 or NAME@alias")->required();
  parts->add_option("FOLDER", arguments->folder, "New or empty folder")->required();
  arguments->expected.add_to(*parts);
  parts->callback([&common, arguments] {
    common.run = [&common, arguments] { export_parts(common, *arguments); };
  });
}

}  // namespace cli
