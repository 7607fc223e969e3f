#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <ptsecure/ptsecure.hpp>
#include <string>
#include <thread>
#include <vector>

#include "server_example/log.hpp"
#include "server_example/metrics.hpp"
#include "server_example/options.hpp"

namespace server {

// One version of one model, loaded. Requests hold it by shared_ptr: one that was replaced or
// unloaded goes when the last of them is done.
struct ServedModel {
  explicit ServedModel(pts::Model loaded);

  pts::Model model;
  std::string name;
  std::uint64_t version;
  bool stateful;
  mutable ModelStats stats;
  mutable std::atomic<bool> answered{false};  // once, be it in its self-test
};

using ServedPtr = std::shared_ptr<const ServedModel>;

struct Health {
  bool ready = false;  // every model is loaded and has answered
  bool store_reachable = true;
  std::chrono::steady_clock::duration store_gone{};  // for how long
};

// The models that are served, and the one thread that loads them and watches the store.
class Models {
 public:
  // `failed` hears on that thread why the server can't start.
  Models(const Options& options, pts::Store& store, const pts::Keyring& keys, Log& log,
         std::function<void(const std::string&)> failed);
  ~Models();
  Models(const Models&) = delete;
  Models& operator=(const Models&) = delete;

  // Throws pts::Error: not found, or unavailable for one that should be served but isn't loaded
  // yet. No version = the one that was named first.
  ServedPtr find(const std::string& name, std::optional<std::uint64_t> version) const;
  std::vector<ServedPtr> all() const;  // each once
  Health health() const;

  // Soon, on the models' own thread: opens what aliases and newest versions point to by now beside
  // what runs, lets it answer once and swaps. What fails leaves the old one in place.
  void look_again();
  // V2 model metadata with all served versions and the aliases.
  std::string metadata(const ServedModel& served) const;
  // V2 repository index: what is served, then what else the store lists.
  std::string index(bool ready_only) const;
  // Loads or reloads; an empty reference = the one it had, or the newest version.
  void load(const std::string& name, const std::string& reference);
  void unload(const std::string& name);

 private:
  struct Slot {
    std::string reference;
    std::string name;
    bool wanted = true;
    ServedPtr current;
    std::vector<std::string> aliases;  // of the current version, when last looked
    std::string problem;
  };

  void work();
  void start_all();
  void refresh_all();
  void ping();
  void refresh(const std::string& reference);
  struct Opened {
    ServedPtr served;
    std::vector<std::string> aliases;
  };
  Opened open(const std::string& reference, const ServedModel* current);
  std::vector<std::string> aliases_of(const std::string& name, std::uint64_t version) const;
  ServedPtr find_loaded(const std::string& name, std::uint64_t version) const;
  void self_test(const ServedModel& served) const;
  void set(const std::string& reference, Opened opened, std::string problem);
  std::vector<Slot> slots() const;
  // What ends with the server.
  pts::Call call() const { return {.cancel = &cancel_, .timeout = {}, .progress = {}}; }

  const Options& options_;
  pts::Store& store_;
  const pts::Keyring& keys_;
  Log& log_;
  std::function<void(const std::string&)> failed_;
  pts::Cancel cancel_;

  std::mutex change_;  // held while one is opened; before mutex_
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::optional<std::chrono::steady_clock::time_point> gone_since_;
  bool look_again_ = false;
  bool ending_ = false;
  std::condition_variable changed_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace server
