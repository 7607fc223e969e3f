#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/registry/opening.hpp"

namespace ptsecure {

SecretBytes Package::State::unwrap(const PayloadEntry& entry, const CancelToken& cancel) const {
  const KeyBody key = cache.enabled(access(cancel), entry);
  return unwrap(entry, read_wraps(*store, key, entry, cancel), cancel);
}

SecretBytes Package::State::unwrap(const PayloadEntry& entry, std::span<const Wrap> wraps,
                                   const CancelToken& cancel) const {
  return keys.unwrap(wraps, key_context(manifest().store_id, entry), entry.key_commitment, cancel);
}

OpenPayload Package::State::open_payload_of(const PayloadEntry& entry,
                                            const OpenOptions& options) const {
  OpenPayload open;
  open.entry = &entry;
  open.blob = read_payload(*store, entry, options.cancel);
  open.digests = read_digests(*store, entry, options.cancel);
  open.level = options.level;
  open.progress = options.progress;
  open.caller = options.caller;
  open.cancel = options.cancel;
  return open;
}

std::unique_ptr<SealedSource> Package::State::open(const PayloadEntry& entry,
                                                   const OpenOptions& options) const {
  const SecretBytes dek = unwrap(entry, options.cancel);
  return open_payload(open_payload_of(entry, options), dek.view(), *pool);
}

Package::Package(std::unique_ptr<State> state) : state_(std::move(state)) {}
Package::~Package() = default;

const Manifest& Package::manifest() const {
  return state_->manifest();
}
const std::string& Package::manifest_json() const {
  return state_->version.json;
}

std::string Package::example_json() const {
  return v2_example_request(manifest().inputs);
}

void Package::stream(const OpenOptions& options,
                     const std::function<void(std::uint64_t, ByteView)>& sink) const {
  state_->open(options)->stream(sink);
}

void Package::decrypt(const OpenOptions& options, ByteSpan out) const {
  if (out.size() != manifest().own_payload().plaintext_size) {
    throw Error(Status::internal, "the buffer to decrypt into is not the model's size");
  }
  OpenOptions whole = options;
  whole.level = VerifyLevel::signed_;  // which of the bytes are tensors isn't known here
  const auto source = state_->open(whole);
  if (!out.empty()) source->defer(0, out.data(), out.size());
  source->finish();
}

std::shared_ptr<LoadedModel> Package::load(const OpenOptions& options) const {
  return Opening(options).load(*this);
}

std::shared_ptr<LoadedModel> Package::swap_into(const LoadedModel& running,
                                                const OpenOptions& options) const {
  const PayloadEntry& program = manifest().program();
  const PayloadEntry& other = running.manifest().program();
  const bool same = manifest().format == running.manifest().format &&
                    manifest().store_id == running.manifest().store_id &&
                    program.sealed_name == other.sealed_name &&
                    program.sealed_version == other.sealed_version &&
                    program.digests_sha256 == other.digests_sha256;
  if (!same) {
    throw Error(Status::invalid_argument,
                manifest().name + "/" + std::to_string(manifest().version) +
                    " has another program than the model that is open; open it beside that one");
  }
  const auto source = state_->open(options);
  return running.with_weights(*source, /*package=*/!manifest().shares_program(),
                              state_->version.manifest);
}

std::unique_ptr<Package> Registry::fetch(std::string_view reference, const Keyring& keys,
                                         const OpenOptions& options) const {
  return fetch(reference, keys, options, ReadConcern::linearizable);
}

std::unique_ptr<Package> Registry::fetch(std::string_view reference, const Keyring& keys,
                                         const OpenOptions& options,
                                         ReadConcern key_concern) const {
  auto state = package_state(keys);
  const Access access = state->access(options.cancel);
  state->version = resolve(access, Reference::parse(reference), options.expected);
  state->cache.enabled(access, state->manifest().own_payload(), key_concern);
  return std::make_unique<Package>(std::move(state));
}

std::unique_ptr<Package::State> Registry::package_state(const Keyring& keys) const {
  auto state = std::make_unique<Package::State>();
  state->store = store_;
  state->pool = pool_;
  state->memory = memory_;
  state->keys = keys;
  return state;
}

std::shared_ptr<LoadedModel> Registry::open(std::string_view reference, const Keyring& keys,
                                            const OpenOptions& options) const {
  const bool confirm = store_->linearizable_is_slow();
  const ReadConcern concern = confirm ? ReadConcern::majority : ReadConcern::linearizable;
  return Opening(options).open([&] { return fetch(reference, keys, options, concern); }, confirm);
}

}  // namespace ptsecure
