#include "libptsecure/crypto/segment_aead.hpp"
#include "libptsecure/registry/inspect.hpp"
#include "libptsecure/registry/package_state.hpp"
#include "libptsecure/registry/publish.hpp"

namespace ptsecure {

std::string Package::State::verify_program(const OpenOptions& options) const {
  const PayloadEntry& entry = version.manifest->payload("model");
  OpenPayload open;
  open.entry = &entry;
  open.digests = read_digests(*store, entry, options.cancel);
  open.blob = read_payload(*store, entry, options.cancel);
  open.progress = options.progress;
  open.cancel = options.cancel;
  const std::string program = "the program of " + entry.sealed_name + "/" +
                              std::to_string(entry.sealed_version) + ", " +
                              std::to_string(stored_segments(entry.stored_size)) + " segments, ";
  SecretBytes dek;
  try {
    dek = unwrap(entry, options.cancel);
  } catch (const Error& error) {
    if (error.status() != Status::no_key) throw;
    verify_stored_segments(entry, *open.blob, open.digests, *pool, open.progress, open.cancel);
    return program + "matches the signed digests";
  }
  open_payload(std::move(open), dek.view(), *pool)->verify();
  return program + "matches the signed digests and decrypts";
}

std::uint64_t Registry::publish_weights(const std::string& name, PlainInput& input,
                                        const Keyring& keys, const PublishOptions& options) const {
  check_publish(name, keys, options);
  OpenOptions open;
  open.cancel = options.cancel;
  const auto base = fetch(options.weights_of, keys, open);
  const Manifest& program = base->manifest();
  const std::string of = program.name + "/" + std::to_string(program.version);
  if (program.format != kAotInductor) {
    throw Error(Status::unsupported, of + " is of the format " + program.format +
                                         ", whose files hold program and weights as one; publish "
                                         "the whole new model instead");
  }
  if (!options.format.empty() && options.format != program.format) {
    throw Error(Status::invalid_argument,
                "weights for " + of + " have its format, " + program.format + "; leave it off");
  }
  SharedProgram shared;
  shared.entry = program.payload("model");
  shared.dek = base->state_->unwrap(shared.entry, options.cancel);

  Manifest manifest;
  manifest.name = name;
  manifest.format = program.format;
  manifest.labels = options.labels;
  inspect_model(*base->open_source(shared.entry, open), plain_source(input, *pool_).get(), options,
                manifest);
  if (options.sample.empty() && options.sample_json.empty()) {
    manifest.inputs = program.inputs;
    manifest.outputs = program.outputs;
  }
  input.check_unchanged();
  options.cancel.check();
  const std::uint64_t version = seal_and_commit(
      access(keys, options.cancel), *pool_, std::move(manifest), input, options.progress, &shared);
  if (!options.alias.empty())
    set_published_alias(name, options.alias, version, keys, options.cancel);
  return version;
}

}  // namespace ptsecure
