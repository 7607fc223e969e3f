#include <cstring>

#include "libptsecure/engine/loader.hpp"
#include "libptsecure/registry/package_state.hpp"
#include "libptsecure/value/v2_json.hpp"

namespace ptsecure {

KeyBody Package::State::enabled_key(const CancelToken& cancel) const {
  if (Clock::now() - checked < kStatusAge) return key;
  KeyBody now = read_key(*store, keys, payload(), cancel);
  require_enabled(now, payload());
  return now;
}

Package::Package(std::unique_ptr<State> state) : state_(std::move(state)) {}
Package::~Package() = default;

const Manifest& Package::manifest() const {
  return *state_->version.manifest;
}
const std::string& Package::manifest_json() const {
  return state_->version.json;
}
const std::string& Package::signer() const {
  return state_->version.signer;
}

std::string Package::example_json() const {
  return v2_example_request(manifest().inputs);
}

std::unique_ptr<Package> Registry::fetch(std::string_view reference, const Keyring& keys,
                                         const CancelToken& cancel) const {
  auto state = std::make_unique<Package::State>();
  state->store = store_;
  state->pool = pool_;
  state->keys = keys;
  state->version = resolve(*store_, keys, Reference::parse(reference), cancel);
  state->key = read_key(*store_, keys, state->payload(), cancel);
  require_enabled(state->key, state->payload());
  state->checked = Clock::now();
  return std::unique_ptr<Package>(new Package(std::move(state)));
}

std::unique_ptr<SealedSource> Package::open_source(const OpenOptions& options) const {
  const PayloadEntry& payload = state_->payload();
  Store& store = *state_->store;
  const KeyBody key = state_->enabled_key(options.cancel);
  const SecretBytes dek =
      state_->keys.unwrap(read_wraps(store, key, payload, options.cancel), payload.key_id);
  OpenPayload open;
  open.entry = &payload;
  open.blob = read_payload(store, payload, options.cancel);
  open.digests = read_digests(store, payload, options.cancel);
  open.level = options.level;
  open.progress = options.progress;
  open.cancel = options.cancel;
  return open_payload(std::move(open), dek.view(), *state_->pool);
}

void Package::stream(const OpenOptions& options,
                     const std::function<void(std::uint64_t, ByteView)>& sink) const {
  open_source(options)->stream(sink);
}

void Package::decrypt(const OpenOptions& options, ByteSpan out) const {
  if (out.size() != state_->payload().plaintext_size) {
    throw Error(Status::internal, "the buffer to decrypt into is not the model's size");
  }
  OpenOptions whole = options;
  whole.level = VerifyLevel::signed_;  // which of the bytes are tensors isn't known here
  const auto source = open_source(whole);
  if (!out.empty()) source->defer(0, out.data(), out.size());
  source->finish();
}

std::shared_ptr<LoadedModel> Package::load(const OpenOptions& options) const {
  const Manifest& manifest = *state_->version.manifest;
  if (manifest.format == kOpaque) {
    throw Error(
        Status::unsupported,
        manifest.name + "/" + std::to_string(manifest.version) +
            " was published as opaque bytes and can't be loaded or run; decrypt it instead");
  }
  EngineLoadOptions load;
  load.format = manifest.format;
  load.device = parse_device(options.device);
  load.intra_op_threads = options.intra_op_threads;
  const auto source = open_source(options);
  auto engine = torch_engine(options.torch_dir).load(*source, load);
  auto model =
      std::shared_ptr<LoadedModel>(new LoadedModel(state_->version.manifest, std::move(engine)));
  if (options.warm_up_runs > 0) model->warm_up(options.warm_up_runs);
  return model;
}

}  // namespace ptsecure
