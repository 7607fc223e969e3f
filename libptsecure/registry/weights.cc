#include "libptsecure/registry/inspect.hpp"
#include "libptsecure/registry/package_state.hpp"
#include "libptsecure/registry/publish.hpp"

namespace ptsecure {

std::uint64_t Registry::publish_weights(const std::string& name, PlainInput& input,
                                        const Keyring& keys, const PublishOptions& options) const {
  check_publish(name, keys, options);
  OpenOptions open;
  open.cancel = options.cancel;
  const auto base = fetch(options.weights_of, keys, open);
  const Manifest& program = base->manifest();
  const std::string of = program.name + "/" + std::to_string(program.version);
  const Format* format = find_format(program.format);
  if (format == nullptr || !format->weights_apart) {
    throw Error(Status::unsupported, of + " is of the format " + program.format +
                                         ", which has no weights apart from their program; publish "
                                         "the whole new model instead");
  }
  if (!options.format.empty() && options.format != program.format) {
    throw Error(Status::invalid_argument,
                "weights for " + of + " have its format, " + program.format + "; leave it off");
  }
  StoredProgram shared{program.program(), base->state().unwrap(program.program(), options.cancel)};

  Manifest manifest;
  manifest.name = name;
  manifest.format = program.format;
  manifest.labels = options.labels;
  inspect_model(*base->state().open(shared.entry, open), plain_source(input, *pool_).get(), options,
                manifest);
  if (options.sample.empty() && options.sample_json.empty()) {
    manifest.inputs = program.inputs;
    manifest.outputs = program.outputs;
  }
  return commit(std::move(manifest), input, std::move(shared), keys, options);
}

}  // namespace ptsecure
