#include "libptsecure/registry/opening.hpp"

#include <chrono>

#include "libptsecure/base/run_async.hpp"
#include "libptsecure/engine/loader.hpp"

namespace ptsecure {
namespace {

void require_runnable(const Manifest& manifest) {
  const Format* format = find_format(manifest.format);
  if (format != nullptr && !format->engine.empty()) return;
  const std::string what = manifest.name + "/" + std::to_string(manifest.version);
  if (format != nullptr) {
    throw Error(Status::unsupported, what + " was published as " + manifest.format +
                                         " bytes and can't be loaded or run; decrypt it instead");
  }
  throw Error(Status::unsupported, what + " is of the format '" + manifest.format +
                                       "', which this build can't load; it runs " +
                                       format_names(true) +
                                       ". Decrypt it instead, or use a newer ptsecure");
}

}  // namespace

Opening::Opening(const OpenOptions& options)
    : options_(options), device_(parse_device(options.device)) {}

std::shared_ptr<LoadedModel> Opening::load(const Package& package) {
  require_runnable(package.manifest());
  package_ = &package;
  to_load_.set_value(&package.manifest());
  return run([this] { begin_load(); });
}

std::shared_ptr<LoadedModel> Opening::open(const std::function<std::unique_ptr<Package>()>& fetch,
                                           bool confirm) {
  options_.cancel.check();
  return run([&] {
    get_package(fetch);
    if (confirm) begin_confirming();
    begin_load();
  });
}

void Opening::get_package(const std::function<std::unique_ptr<Package>()>& fetch) {
  try {
    fetched_ = fetch();
    require_runnable(fetched_->manifest());
  } catch (...) {
    to_load_.set_value(nullptr);
    throw;
  }
  package_ = fetched_.get();
  to_load_.set_value(&package_->manifest());
}

std::shared_ptr<LoadedModel> Opening::run(const std::function<void()>& begin) {
  if (torch_engine_loaded()) {
    begin();
    return finish();
  }
  auto begun = run_async(begin);
  // Where the system had no thread to give, the work is done below.
  const bool beside = begun.wait_for(std::chrono::seconds(0)) != std::future_status::deferred;
  if (beside) warm_engine();
  begun.get();
  return finish();
}

void Opening::warm_engine() noexcept {
  try {
    if (libtorch_in_process()) torch_engine(options_.torch_dir);
    const Manifest* manifest = known_.get();
    if (manifest != nullptr) torch_engine(options_.torch_dir).prepare(manifest->format);
  } catch (...) {
  }
}

void Opening::begin_confirming() {
  const auto confirm = [this] {
    const PayloadEntry& payload = state().manifest().own_payload();
    require_enabled(read_key(state().access(options_.cancel), payload), payload);
  };
  confirmed_ = [answer = run_async(confirm).share()] { answer.get(); };
}

void Opening::begin_load() {
  const Manifest& manifest = state().manifest();
  EngineLoadOptions load;
  load.format = manifest.format;
  load.device = device_;
  load.intra_op_threads = options_.intra_op_threads;
  load.optimize = options_.optimize;
  load.before_code = confirmed_;
  OpenOptions program = options_;
  if (manifest.shares_program()) program.progress = nullptr;  // of the version's own bytes alone
  program_ = state().open(manifest.program(), program);
  if (manifest.shares_program()) {
    weights_ = state().open(options_);
    load.weights = weights_.get();
  }
  load_ = torch_engine(options_.torch_dir).begin_load(*program_, load);
}

std::shared_ptr<LoadedModel> Opening::finish() {
  std::unique_ptr<EngineModel> engine = load_->finish();
  // Gone before the model runs.
  load_.reset();
  weights_.reset();
  program_.reset();
  confirmed_();
  auto model = std::make_shared<LoadedModel>(state().version.manifest, std::move(engine));
  if (options_.warm_up_runs > 0) model->warm_up(options_.warm_up_runs);
  return model;
}

}  // namespace ptsecure
