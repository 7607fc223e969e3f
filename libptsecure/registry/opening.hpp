#pragma once

#include <functional>
#include <future>
#include <memory>
#include <string>

#include "libptsecure/engine/engine.hpp"
#include "libptsecure/registry/package_state.hpp"

namespace ptsecure {

// The way to a loaded model, once: fetch the version, confirm its key, read what the engine asks
// for, and have the engine warm by then.
//
// A process's first model waits for libtorch to be opened and to set itself up, which takes longer
// than fetching records, keys and the first segment and reading the model's directory: so both at
// once. libtorch has the calling thread, because memory that it takes is dearer on others.
class Opening {
 public:
  // Throws Status::invalid_argument for a device that is none, before anything is fetched. The
  // options must outlive this.
  explicit Opening(const OpenOptions& options);
  Opening(const Opening&) = delete;  // what runs beside refers to it
  Opening& operator=(const Opening&) = delete;

  // Of a package that is there.
  std::shared_ptr<LoadedModel> load(const Package& package);
  // Of one that `fetch` gets. When `confirm`, the key's status was read by what the majority has:
  // it is asked for again, linearizably, beside the rest.
  std::shared_ptr<LoadedModel> open(const std::function<std::unique_ptr<Package>()>& fetch,
                                    bool confirm);

 private:
  // Tells warm_engine() in any case, which waits for it.
  void get_package(const std::function<std::unique_ptr<Package>()>& fetch);
  std::shared_ptr<LoadedModel> run(const std::function<void()>& begin);
  void begin_confirming();
  void begin_load();
  // On the calling thread, while the rest goes on beside it. What goes wrong is told where the
  // engine is needed, after what is wrong with the model.
  void warm_engine() noexcept;
  std::shared_ptr<LoadedModel> finish();
  const Package::State& state() const { return package_->state(); }

  const OpenOptions& options_;
  Device device_;
  std::promise<const Manifest*> to_load_;  // null = nothing will be loaded
  std::future<const Manifest*> known_ = to_load_.get_future();
  std::unique_ptr<Package> fetched_;
  const Package* package_ = nullptr;
  // Waits until nothing newer is known to take the key away. Nothing of the model runs, and nothing
  // is handed out, before.
  std::function<void()> confirmed_ = [] {};
  std::unique_ptr<SealedSource> program_;  // assigned to only while empty
  std::unique_ptr<SealedSource> weights_;
  std::unique_ptr<EngineLoad> load_;  // reads from both
};

}  // namespace ptsecure
