#include "server_example/models.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

namespace server {
namespace {

using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPeriod{2};
constexpr std::uint64_t kMostListed = 10'000;

std::string name_of(const std::string& reference) {
  return reference.substr(0, reference.find_first_of("/@"));
}

// Whether a later try may work although nobody changed anything.
bool passes(const pts::Error& error) {
  return error.status() == PTS_UNAVAILABLE || error.status() == PTS_TIMEOUT ||
         error.status() == PTS_CANCELLED;
}

pts::OpenOptions open_options(const Options& options) {
  pts::OpenOptions open;
  open.verify = options.verify == "aead" ? pts::Verify::aead : pts::Verify::signed_;
  open.device = options.device;
  open.intra_op_threads = options.intra_op_threads;
  return open;
}

}  // namespace

ServedModel::ServedModel(pts::Model loaded)
    : model(std::move(loaded)), name(model.name()), version(model.version()) {
  stateful = ordered_json::parse(model.metadata()).at("stateful").get<bool>();
}

Models::Models(const Options& options, pts::Store& store, const pts::Keyring& keys, Log& log,
               std::function<void(const std::string&)> failed)
    : options_(options), store_(store), keys_(keys), log_(log), failed_(std::move(failed)) {
  for (const std::string& reference : options.models) {
    slots_.push_back({reference, name_of(reference), true, nullptr, {}, "loading"});
  }
  thread_ = std::thread([this] { work(); });
}

Models::~Models() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  cancel_.set();
  changed_.notify_all();
  thread_.join();
}

void Models::work() {
  try {
    start_all();
  } catch (const pts::Error& error) {
    if (error.status() != PTS_CANCELLED) failed_(error.what());
    return;
  }
  std::unique_lock lock(mutex_);
  while (!ending_) {
    changed_.wait_for(lock, kPeriod, [this] { return ending_ || look_again_; });
    if (ending_) return;
    const bool all = std::exchange(look_again_, false);
    lock.unlock();
    ping();
    if (all) {
      refresh_all();
    } else {
      for (const Slot& slot : slots()) {
        if (slot.wanted && !slot.current) refresh(slot.reference);
      }
    }
    lock.lock();
  }
}

// What can't ever be served ends the server; a store that is away is waited for.
void Models::start_all() {
  for (const Slot& slot : slots()) {
    const std::lock_guard change(change_);
    try {
      set(slot.reference, open(slot.reference, nullptr), "");
    } catch (const pts::Error& error) {
      if (!passes(error) || error.status() == PTS_CANCELLED) throw;
      log_.warning("model_not_loaded", {{"reference", slot.reference}, {"error", error.what()}});
      set(slot.reference, {}, error.what());
    }
  }
}

void Models::refresh_all() {
  for (const Slot& slot : slots()) {
    if (slot.wanted) refresh(slot.reference);
  }
}

void Models::ping() {
  std::optional<std::string> problem;
  try {
    store_.list({}, 1);
  } catch (const pts::Error& error) {
    problem = error.what();
  }
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    changed = problem.has_value() != gone_since_.has_value();
    if (changed) gone_since_ = problem ? std::optional(Clock::now()) : std::nullopt;
  }
  if (changed && problem) log_.error("store_unreachable", {{"error", *problem}});
  if (changed && !problem) log_.info("store_reachable");
}

void Models::refresh(const std::string& reference) {
  const std::lock_guard change(change_);
  Opened current;
  for (const Slot& slot : slots()) {
    if (slot.reference == reference) current = {slot.current, slot.aliases};
  }
  try {
    set(reference, open(reference, current.served.get()), "");
  } catch (const pts::Error& error) {
    log_.error("model_not_loaded", {{"reference", reference},
                                    {"status", error.status_name()},
                                    {"error", error.what()},
                                    {"kept", current.served != nullptr}});
    set(reference, current, error.what());
  }
}

// `current`: what runs in its place; a new one that can't answer doesn't replace one that can.
Models::Opened Models::open(const std::string& reference, const ServedModel* current) {
  const pts::Package package = store_.fetch(reference, keys_, open_options(options_), call());
  std::vector<std::string> aliases = aliases_of(package.name(), package.version());
  if (ServedPtr same = find_loaded(package.name(), package.version())) {
    return {std::move(same), std::move(aliases)};
  }
  log_.info("model_opening", {{"reference", reference}, {"version", package.version()}});
  auto served = std::make_shared<ServedModel>(package.load(open_options(options_), call()));
  try {
    self_test(*served);
  } catch (const pts::Error& error) {
    if (current != nullptr && current->answered) throw;
    log_.warning("model_untested",
                 {{"reference", reference},
                  {"error", error.what()},
                  {"advice",
                   "not ready before it has answered a request; a model published with "
                   "a sample can be tried with zeros of the right shape"}});
  }
  log_.info("model_loaded",
            {{"reference", reference}, {"model", served->name}, {"version", served->version}});
  return {std::move(served), std::move(aliases)};
}

// They are only shown, so one that isn't to be trusted keeps no model from being served.
std::vector<std::string> Models::aliases_of(const std::string& name, std::uint64_t version) const {
  std::vector<std::string> aliases;
  try {
    for (const auto& alias : ordered_json::parse(store_.list_aliases(name, keys_))) {
      if (alias.at("version") == version) aliases.push_back(alias.at("alias"));
    }
  } catch (const pts::Error& error) {
    log_.warning("aliases_not_listed", {{"model", name}, {"error", error.what()}});
  }
  return aliases;
}

ServedPtr Models::find_loaded(const std::string& name, std::uint64_t version) const {
  const std::lock_guard lock(mutex_);
  for (const Slot& slot : slots_) {
    if (slot.current && slot.current->name == name && slot.current->version == version) {
      return slot.current;
    }
  }
  return nullptr;
}

void Models::self_test(const ServedModel& served) const {
  const pts::Model copy = served.model.fork(call());
  copy.infer_json(copy.example());
  served.answered = true;
}

void Models::set(const std::string& reference, Opened opened, std::string problem) {
  ServedPtr old;  // freed after the lock
  const std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    if (slot.reference != reference) continue;
    slot.problem = std::move(problem);
    slot.aliases = std::move(opened.aliases);
    old = std::exchange(slot.current, std::move(opened.served));
    return;
  }
}

std::vector<Models::Slot> Models::slots() const {
  const std::lock_guard lock(mutex_);
  return slots_;
}

ServedPtr Models::find(const std::string& name, std::optional<std::uint64_t> version) const {
  const std::lock_guard lock(mutex_);
  bool coming = false;
  for (const Slot& slot : slots_) {
    if (slot.name != name) continue;
    if (slot.current && (!version || slot.current->version == *version)) return slot.current;
    coming = coming || (slot.wanted && !slot.current);
  }
  if (coming) throw pts::Unavailable(PTS_UNAVAILABLE, "this model is not loaded yet; try again");
  throw pts::NotFound(PTS_NOT_FOUND, version ? "this version of the model is not served here"
                                             : "no model of this name is served here");
}

std::vector<ServedPtr> Models::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<ServedPtr> out;
  for (const Slot& slot : slots_) {
    if (slot.current && std::find(out.begin(), out.end(), slot.current) == out.end()) {
      out.push_back(slot.current);
    }
  }
  return out;
}

Health Models::health() const {
  const std::lock_guard lock(mutex_);
  Health health;
  health.ready = std::all_of(slots_.begin(), slots_.end(), [](const Slot& slot) {
    return !slot.wanted || (slot.current && slot.current->answered);
  });
  health.store_reachable = !gone_since_;
  if (gone_since_) health.store_gone = Clock::now() - *gone_since_;
  return health;
}

void Models::look_again() {
  {
    const std::lock_guard lock(mutex_);
    look_again_ = true;
  }
  changed_.notify_all();
}

std::string Models::metadata(const ServedModel& served) const {
  auto out = ordered_json::parse(served.model.metadata());
  auto& versions = out["versions"] = ordered_json::array();
  for (const ServedPtr& other : all()) {
    if (other->name == served.name) versions.push_back(std::to_string(other->version));
  }
  auto& aliases = out["aliases"] = ordered_json::array();
  for (const Slot& slot : slots()) {
    if (slot.current.get() == &served) aliases = slot.aliases;
  }
  return out.dump();
}

std::string Models::index(bool ready_only) const {
  auto out = ordered_json::array();
  std::set<std::string> names;
  for (const Slot& slot : slots()) {
    const bool ready = slot.current && slot.current->answered;
    if (slot.wanted || slot.current) names.insert(slot.name);
    if ((ready_only && !ready) || !(slot.wanted || slot.current)) continue;
    ordered_json entry{{"name", slot.name}};
    if (slot.current) entry["version"] = std::to_string(slot.current->version);
    entry["state"] = slot.current ? "READY" : "UNAVAILABLE";
    entry["reason"] = !slot.problem.empty() || ready ? slot.problem : "it has not answered yet";
    entry["reference"] = slot.reference;
    out.push_back(std::move(entry));
  }
  if (ready_only || !health().store_reachable) return out.dump();
  const auto listed = ordered_json::parse(store_.list({}, kMostListed));
  for (const auto& model : listed.at("models")) {
    if (names.contains(model.at("name").get<std::string>())) continue;
    out.push_back({{"name", model.at("name")},
                   {"version", std::to_string(model.at("version").get<std::uint64_t>())},
                   {"state", "UNAVAILABLE"},
                   {"reason", "not loaded"}});
  }
  return out.dump();
}

void Models::load(const std::string& name, const std::string& reference) {
  if (!reference.empty() && name_of(reference) != name) {
    throw pts::Error(PTS_INVALID_ARGUMENT, "the reference must be one of the model's own");
  }
  const std::lock_guard change(change_);
  std::vector<Slot> chosen;
  for (const Slot& slot : slots()) {
    const bool named = reference.empty() || slot.reference == reference;
    if (slot.name == name && named) chosen.push_back(slot);
  }
  if (chosen.empty())
    chosen.push_back({reference.empty() ? name : reference, name, true, {}, {}, {}});
  for (const Slot& slot : chosen) {
    Opened opened = open(slot.reference, slot.current.get());
    ServedPtr old;
    const std::lock_guard lock(mutex_);
    auto at = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& candidate) {
      return candidate.reference == slot.reference;
    });
    if (at == slots_.end()) at = slots_.insert(at, slot);
    at->wanted = true;
    at->problem.clear();
    at->aliases = std::move(opened.aliases);
    old = std::exchange(at->current, std::move(opened.served));
  }
}

void Models::unload(const std::string& name) {
  const std::lock_guard change(change_);
  std::vector<ServedPtr> old;
  const std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    if (slot.name != name || !slot.wanted) continue;
    slot.wanted = false;
    slot.problem = "unloaded";
    old.push_back(std::exchange(slot.current, nullptr));
  }
  if (old.empty()) throw pts::NotFound(PTS_NOT_FOUND, "no model of this name is served here");
  log_.info("model_unloaded", {{"model", name}});
}

}  // namespace server
