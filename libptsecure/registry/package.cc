#include <chrono>
#include <cstring>
#include <future>

#include "libptsecure/base/run_async.hpp"
#include "libptsecure/engine/loader.hpp"
#include "libptsecure/protocol/v2_json.hpp"
#include "libptsecure/registry/package_state.hpp"

namespace ptsecure {

KeyBody Package::State::enabled_key(const CancelToken& cancel) const {
  if (Clock::now() - checked < kStatusAge) return key;
  KeyBody now = read_key(access(cancel), payload());
  require_enabled(now, payload());
  return now;
}

SecretBytes Package::State::unwrap(const PayloadEntry& entry, const CancelToken& cancel) const {
  KeyBody current;
  if (&entry == &payload()) {
    current = enabled_key(cancel);
  } else {
    current = read_key(access(cancel), entry);
    require_enabled(current, entry);
  }
  return keys.unwrap(read_wraps(*store, current, entry, cancel), entry.key_id);
}

namespace {

void require_runnable(const Manifest& manifest) {
  if (manifest.format != kOpaque) return;
  throw Error(Status::unsupported,
              manifest.name + "/" + std::to_string(manifest.version) +
                  " was published as opaque bytes and can't be loaded or run; decrypt it instead");
}

// A process's first model waits for libtorch to be opened and to set itself up, which takes longer
// than fetching records, keys and the first segment and reading the model's directory: so both at
// once. libtorch has the calling thread, because memory that it takes is dearer on others.
//
// Sets the engine up for a format once that is known to be needed; opens no more than the plug-in
// before. What goes wrong is told where the engine is needed, after what is wrong with the model.
void try_engine(const OpenOptions& options, std::future<std::string> format) noexcept {
  try {
    if (libtorch_in_process()) torch_engine(options.torch_dir);
    const std::string needed = format.get();
    torch_engine(options.torch_dir).prepare(needed);
  } catch (...) {
  }
}

bool begun(const auto& future) {
  return future.wait_for(std::chrono::seconds(0)) != std::future_status::deferred;
}

}  // namespace

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
                                         const OpenOptions& options) const {
  return fetch(reference, keys, options, ReadConcern::linearizable);
}

std::shared_ptr<LoadedModel> Registry::open(std::string_view reference, const Keyring& keys,
                                            const OpenOptions& options) const {
  options.cancel.check();
  parse_device(options.device);  // a mistake is told before anything is fetched
  struct Opening {
    std::unique_ptr<Package> package;
    std::function<void()> before_code = [] {};
    Package::Loading loading;
  };
  const bool confirm_later = store_->linearizable_is_slow();
  const auto work = [&](std::promise<std::string> format) {
    Opening opening;
    opening.package = fetch(reference, keys, options,
                            confirm_later ? ReadConcern::majority : ReadConcern::linearizable);
    require_runnable(opening.package->manifest());
    format.set_value(opening.package->manifest().format);
    if (confirm_later) {
      // All is fetched and decrypted by what the majority has. Nothing of the model runs, and
      // nothing is handed out, before it is known that nothing newer takes the key away.
      const auto confirm = [&state = *opening.package->state_, &options] {
        require_enabled(read_key(state.access(options.cancel), state.payload()), state.payload());
      };
      opening.before_code = [confirmed = run_async(confirm).share()] { confirmed.get(); };
    }
    opening.loading = opening.package->begin_load(options, opening.before_code);
    return opening;
  };
  std::promise<std::string> format;
  std::future<std::string> known = format.get_future();
  Opening opening;
  if (torch_engine_loaded()) {
    opening = work(std::move(format));
  } else {
    // The promise is broken when the work ends before it knows.
    auto opened = run_async([&] { return work(std::move(format)); });
    if (begun(opened)) try_engine(options, std::move(known));
    opening = opened.get();
  }
  return opening.package->finish_load(options, std::move(opening.loading), opening.before_code);
}

std::unique_ptr<Package> Registry::fetch(std::string_view reference, const Keyring& keys,
                                         const OpenOptions& options,
                                         ReadConcern key_concern) const {
  auto state = std::make_unique<Package::State>();
  state->store = store_;
  state->pool = pool_;
  state->memory = memory_;
  state->keys = keys;
  const Access access = state->access(options.cancel);
  state->version = resolve(access, Reference::parse(reference), options.expected);
  state->key = read_key(access, state->payload(), nullptr, key_concern);
  require_enabled(state->key, state->payload());
  state->checked = Clock::now();
  return std::unique_ptr<Package>(new Package(std::move(state)));
}

std::unique_ptr<SealedSource> Package::open_source(const OpenOptions& options) const {
  return open_source(state_->payload(), options);
}

std::unique_ptr<SealedSource> Package::open_source(const PayloadEntry& payload,
                                                   const OpenOptions& options) const {
  Store& store = *state_->store;
  const SecretBytes dek = state_->unwrap(payload, options.cancel);
  OpenPayload open;
  open.entry = &payload;
  open.blob = read_payload(store, payload, options.cancel);
  open.digests = read_digests(store, payload, options.cancel);
  open.level = options.level;
  open.progress = options.progress;
  open.caller = options.caller;
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

Package::Loading Package::begin_load(const OpenOptions& options,
                                     const std::function<void()>& before_code) const {
  const Manifest& manifest = *state_->version.manifest;
  EngineLoadOptions load;
  load.format = manifest.format;
  load.device = parse_device(options.device);
  load.intra_op_threads = options.intra_op_threads;
  load.optimize = options.optimize;
  load.before_code = before_code;
  Loading loading;
  OpenOptions program = options;
  if (manifest.shares_program()) program.progress = nullptr;  // of the version's own bytes alone
  loading.program = open_source(manifest.payload("model"), program);
  if (manifest.shares_program()) {
    loading.weights = open_source(manifest.payload("weights"), options);
    load.weights = loading.weights.get();
  }
  loading.load = torch_engine(options.torch_dir).begin_load(*loading.program, load);
  return loading;
}

std::shared_ptr<LoadedModel> Package::load(const OpenOptions& options) const {
  parse_device(options.device);
  require_runnable(manifest());
  const auto anything = [] {};
  if (torch_engine_loaded()) {
    return finish_load(options, begin_load(options, anything), anything);
  }
  auto beginning = run_async([&] { return begin_load(options, anything); });
  std::promise<std::string> format;
  format.set_value(manifest().format);
  try_engine(options, format.get_future());
  return finish_load(options, beginning.get(), anything);
}

std::shared_ptr<LoadedModel> Package::finish_load(const OpenOptions& options, Loading loading,
                                                  const std::function<void()>& before_code) const {
  std::unique_ptr<EngineModel> engine;
  {
    const Loading ended = std::move(loading);  // gone before the model runs
    engine = ended.load->finish();
  }
  before_code();
  auto model = std::make_shared<LoadedModel>(state_->version.manifest, std::move(engine));
  if (options.warm_up_runs > 0) model->warm_up(options.warm_up_runs);
  return model;
}

std::shared_ptr<LoadedModel> Package::swap_into(const LoadedModel& running,
                                                const OpenOptions& options) const {
  const Manifest& manifest = *state_->version.manifest;
  const PayloadEntry& program = manifest.payload("model");
  const PayloadEntry& other = running.manifest().payload("model");
  const bool same = manifest.format == running.manifest().format &&
                    manifest.store_id == running.manifest().store_id &&
                    program.sealed_name == other.sealed_name &&
                    program.sealed_version == other.sealed_version &&
                    program.digests_sha256 == other.digests_sha256;
  if (!same) {
    throw Error(Status::invalid_argument,
                manifest.name + "/" + std::to_string(manifest.version) +
                    " has another program than the model that is open; open it beside that one");
  }
  const auto source = open_source(options);
  return running.with_weights(*source, /*package=*/!manifest.shares_program(),
                              state_->version.manifest);
}

}  // namespace ptsecure
