#include "libptsecure/apikeys/checker.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "libptsecure/apikeys/token_bucket.hpp"
#include "libptsecure/base/signals_blocked.hpp"
#include "libptsecure/base/time.hpp"

namespace ptsecure {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a check waits for the store, and how late a refresh may be before nobody waits for it.
constexpr milliseconds kLookUpWait{2000};
constexpr milliseconds kLate{2000};
// Looks a second for ids that aren't in the set.
constexpr double kUnknownLooks = 20;

// Errors that are about a key's records rather than about reaching the store.
bool about_records(Status status) {
  return status == Status::untrusted || status == Status::corrupt || status == Status::rollback ||
         status == Status::unsupported;
}

struct Entry {
  std::uint64_t head = 0;          // the number of its last record, as the store says
  std::optional<RecordMark> seen;  // as far as its records are verified
  ApiKeyBody body;                 // what they say; with `seen`
  std::optional<Error> refused;    // what is wrong with its records

  std::optional<TokenBucket> requests;
  std::optional<TokenBucket> bytes;
  std::time_t last_used = 0;
  std::uint64_t request_count = 0;
  std::uint64_t byte_count = 0;
  std::uint64_t limited_count = 0;

  bool read() const { return seen || refused; }
};

// A bucket for a limit that may have changed; none for no limit.
void set_limit(std::optional<TokenBucket>& bucket, double rate, double size) {
  if (rate == 0) {
    bucket.reset();
  } else if (bucket) {
    bucket->resize(rate, size);
  } else {
    bucket.emplace(rate, size, Clock::now());
  }
}

[[noreturn]] void unauthenticated(const std::string& why) {
  throw Error(Status::unauthenticated, why);
}

[[noreturn]] void no_such_key() {
  unauthenticated("the API key is not valid");
}

void require_valid(const std::string& id, const ApiKeyBody& body, std::time_t now) {
  if (body.state != ApiKeyState::active) {
    unauthenticated("API key " + id + " is " + apikey_state_name(body.state));
  }
  if (body.grant.not_before > now) {
    unauthenticated("API key " + id + " is valid from " + rfc3339(body.grant.not_before) + " on");
  }
  if (body.grant.expires != 0 && body.grant.expires <= now) {
    unauthenticated("API key " + id + " expired at " + rfc3339(body.grant.expires));
  }
}

void require_scope(const std::string& id, const ApiKeyGrant& grant, const ApiKeyRequest& request) {
  const char* const name = request.scope == ApiKeyScope::infer ? "infer" : "admin";
  if (!grant.has_scope(request.scope)) {
    throw Error(Status::forbidden, "API key " + id + " has no scope " + name);
  }
  if (request.model.empty()) {
    if (request.scope == ApiKeyScope::infer || grant.covers_all()) return;
    throw Error(Status::forbidden, "API key " + id + " is not for all models (\"*\")");
  }
  if (!grant.covers(request.model)) {
    throw Error(Status::forbidden, "API key " + id + " is not for this model");
  }
}

}  // namespace

struct ApiKeyChecker::State {
  State(std::shared_ptr<Store> store_, Keyring keys_, const Options& options_,
        const CancelToken& first)
      : store(std::move(store_)), keys(std::move(keys_)), options(options_) {
    refresh(first);
  }

  // --- on the thread that asks the store; `mutex` is never held while it does ---

  void start() {
    const SignalsBlocked blocked;  // the host's are for the host's threads
    thread = std::thread([this] { serve(); });
    pthread_setname_np(thread.native_handle(), "ptsecure-keys");
    try {
      watcher = std::thread([this] { watch(); });
    } catch (...) {
      stop();
      throw;
    }
    pthread_setname_np(watcher.native_handle(), "ptsecure-watch");
  }

  // Brings a refresh forward when the store tells of a change.
  void watch() {
    static_cast<void>(attempt([&] {
      const auto hasten = [&] {
        {
          const std::lock_guard lock(mutex);
          told = true;
        }
        wake.notify_one();
      };
      store->watch({"apikey"}, hasten, cancel);
    }));
  }

  void serve() {
    constexpr std::chrono::milliseconds kApart{100};  // however much the store tells
    auto last = Clock::now();
    auto next = last + options.refresh;
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait_until(lock, next, [&] { return stopping || told || !wanted.empty(); });
      if (stopping) return;
      if (std::exchange(told, false)) next = std::min(next, last + kApart);
      const std::set<std::string> ids = wanted;
      lock.unlock();
      auto failure = attempt([&] {
        for (const std::string& id : ids) look_up(id);
      });
      const bool due = Clock::now() >= next;
      if (due) {
        if (auto more = attempt([&] { refresh(cancel); })) failure = more;
        last = Clock::now();
        next = last + options.refresh;
      }
      lock.lock();
      if (due || failure) store_error = failure;
      for (const std::string& id : ids) wanted.erase(id);
      served.notify_all();
    }
  }

  template <class Work>
  static std::optional<Error> attempt(Work work) noexcept {
    try {
      work();
      return std::nullopt;
    } catch (const Error& error) {
      return error;
    } catch (const std::exception& error) {
      return Error(Status::unavailable, error.what());
    }
  }

  void refresh(const CancelToken& until) {
    const auto asked = Clock::now();
    const std::vector<ChainHead> heads = store->heads({"apikey"}, until);
    for (const std::string& id : take_heads(heads)) read(id);
    const std::lock_guard lock(mutex);
    fresh = asked;
  }

  // Notes what the store says there is; returns the ids whose records must be read.
  std::vector<std::string> take_heads(const std::vector<ChainHead>& heads) {
    const std::lock_guard lock(mutex);
    for (auto& [id, entry] : entries) entry.head = 0;
    for (const ChainHead& head : heads) entries[head.leaf].head = head.sequence;
    std::erase_if(entries,
                  [](const auto& item) { return item.second.head == 0 && !item.second.read(); });
    std::vector<std::string> changed;
    for (const auto& [id, entry] : entries) {
      const std::uint64_t known = entry.seen ? entry.seen->sequence : 0;
      if (entry.read() && (entry.refused || entry.head != known)) changed.push_back(id);
    }
    return changed;
  }

  // For a check that waits: an id that the set may not have yet.
  void look_up(const std::string& id) {
    if (!store->last_record({"apikey", id}, ReadConcern::majority, cancel)) return;
    read(id);
  }

  // Reads the records of a key that are new, or says what is wrong with them.
  void read(const std::string& id) {
    std::optional<RecordMark> seen;
    ApiKeyBody body;
    std::uint64_t head = 0;
    {
      const std::lock_guard lock(mutex);
      const Entry& entry = entries[id];
      seen = entry.seen;
      body = entry.body;
      head = entry.head;
    }
    std::optional<Error> refused;
    try {
      const auto chain = Records(*store, keys, cancel).after(apikey_subject(id), seen);
      for (const ChainRecord& record : chain) {
        body.advance(record);
        seen = {.sequence = record.head.sequence, .digest = record.digest};
      }
      if (seen && head < seen->sequence && chain.empty()) {
        throw Error(Status::rollback, "the newest records of API key " + id + " (up to number " +
                                          std::to_string(seen->sequence) +
                                          ") have gone from the store, which an old backup or an "
                                          "attack would explain; restore them");
      }
    } catch (const Error& error) {
      if (!about_records(error.status())) throw;
      refused = error;
    }
    const std::lock_guard lock(mutex);
    Entry& entry = entries[id];
    entry.head = std::max(entry.head, seen ? seen->sequence : 0);
    entry.refused = refused;
    if (refused || !seen) return;
    entry.seen = seen;
    entry.body = std::move(body);
    set_limit(entry.requests, entry.body.grant.rate, entry.body.grant.burst_size());
    const auto bytes_rate = static_cast<double>(entry.body.grant.bytes_rate);
    set_limit(entry.bytes, bytes_rate, bytes_rate);
  }

  // --- on the threads that check ---

  // The entry of an id, read; throws when there is none.
  Entry& find(std::unique_lock<std::mutex>& lock, const std::string& id,
              const CancelToken& caller) {
    require_fresh();
    auto found = entries.find(id);
    if (found != entries.end() && found->second.read()) return found->second;
    const auto now = Clock::now();
    if (found == entries.end()) {
      if (unknown_looks.wait_for(1, now) > milliseconds(0)) {
        if (store_error) throw_unavailable();
        no_such_key();
      }
      unknown_looks.take(1);
    }
    if (now - fresh > options.refresh + kLate) throw_unavailable();
    wanted.insert(id);
    wake.notify_one();
    const bool done = wait_served(lock, id, caller);
    found = entries.find(id);
    if (found != entries.end() && found->second.read()) return found->second;
    if (!done || store_error || stopping) throw_unavailable();
    no_such_key();
  }

  // False when the thread that asks the store hasn't come to it in time.
  bool wait_served(std::unique_lock<std::mutex>& lock, const std::string& id,
                   const CancelToken& caller) {
    const auto until = Clock::now() + kLookUpWait;
    for (;;) {
      caller.check();
      const auto look = caller.can_end() ? Clock::now() + CancelToken::kLook : until;
      if (served.wait_until(lock, std::min(look, until),
                            [&] { return stopping || !wanted.contains(id); })) {
        return true;
      }
      if (Clock::now() >= until) return false;
    }
  }

  void require_fresh() const {
    const auto age = Clock::now() - fresh;
    const bool gone = store_error || age > options.refresh + kLate;
    if (gone && age > options.grace) throw_unavailable();
  }

  [[noreturn]] void throw_unavailable() const {
    throw Error(Status::unavailable,
                std::string("the store can't be asked about API keys") +
                    (store_error ? std::string(": ") + store_error->what() : std::string()));
  }

  void check(const PresentedApiKey& presented, const ApiKeyRequest& request, ApiKeyAnswer& answer,
             const CancelToken& caller) {
    std::unique_lock lock(mutex);
    Entry& entry = find(lock, presented.id, caller);
    if (entry.refused) throw Error(entry.refused->status(), entry.refused->what());
    const ApiKeyBody& body = entry.body;
    const std::time_t now = std::time(nullptr);
    // Both are always compared, so that the time doesn't tell which.
    const bool current = body.digest.matches(presented.digest);
    const bool old = body.old_digest.matches(presented.digest) && body.old_secret_until > now;
    if (!current && !old) no_such_key();
    answer.id = presented.id;
    answer.owner = body.grant.owner;
    require_valid(presented.id, body, now);
    require_scope(presented.id, body.grant, request);
    if (request.counted) count(entry, request, answer);
  }

  static void count(Entry& entry, const ApiKeyRequest& request, ApiKeyAnswer& answer) {
    const auto now = Clock::now();
    milliseconds wait{0};
    if (entry.requests) wait = entry.requests->wait_for(1, now);
    // A request larger than a second's bytes passes when nothing is owed, and owes the rest.
    if (entry.bytes) wait = std::max(wait, entry.bytes->wait_for(0, now));
    if (wait > milliseconds(0)) {
      answer.retry_after = wait;
      ++entry.limited_count;
      throw Error(Status::rate_limited, "API key " + answer.id +
                                            " is over its rate; try again in " +
                                            std::to_string(wait.count()) + " ms");
    }
    if (entry.requests) entry.requests->take(1);
    if (entry.bytes) entry.bytes->take(static_cast<double>(request.bytes));
    entry.last_used = std::time(nullptr);
    ++entry.request_count;
    entry.byte_count += request.bytes;
  }

  void charge(const std::string& id, std::uint64_t bytes) {
    const std::lock_guard lock(mutex);
    const auto found = entries.find(id);
    if (found == entries.end()) return;
    found->second.byte_count += bytes;
    if (found->second.bytes) found->second.bytes->take(static_cast<double>(bytes));
  }

  std::vector<ApiKeyUsage> usage() const {
    std::vector<ApiKeyUsage> list;
    const std::lock_guard lock(mutex);
    for (const auto& [id, entry] : entries) {
      if (entry.last_used == 0 && entry.limited_count == 0) continue;
      list.push_back({.id = id,
                      .owner = entry.body.grant.owner,
                      .last_used = entry.last_used,
                      .requests = entry.request_count,
                      .bytes = entry.byte_count,
                      .limited = entry.limited_count});
    }
    return list;
  }

  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    cancel.cancel();
    wake.notify_all();
    served.notify_all();
    if (thread.joinable()) thread.join();
    if (watcher.joinable()) watcher.join();
  }

  const std::shared_ptr<Store> store;
  const Keyring keys;
  const Options options;
  const CancelToken cancel = CancelToken::make();
  const pid_t process = getpid();

  mutable std::mutex mutex;  // guards what follows
  std::condition_variable wake;
  std::condition_variable served;
  std::map<std::string, Entry> entries;
  std::set<std::string> wanted;
  TokenBucket unknown_looks{kUnknownLooks, kUnknownLooks, Clock::now()};
  Clock::time_point fresh;           // when the store was asked that answered last
  std::optional<Error> store_error;  // why it doesn't
  bool told = false;                 // the store has of a change
  bool stopping = false;
  std::thread thread;
  std::thread watcher;
};

ApiKeyChecker::ApiKeyChecker(std::shared_ptr<Store> store, Keyring keys, const Options& options,
                             const CancelToken& cancel)
    : state_(std::make_unique<State>(std::move(store), std::move(keys), options, cancel)) {
  state_->start();
}

ApiKeyChecker::~ApiKeyChecker() {
  if (state_->process == getpid()) {
    state_->stop();
  } else {
    // After a fork the parent's thread doesn't exist here and its locks may be held for ever.
    (void)state_.release();
  }
}

ApiKeyChecker::State& ApiKeyChecker::state() const {
  if (state_->process != getpid()) {
    throw Error(Status::closed,
                "the API keys were opened by the process before a fork; open them again here");
  }
  return *state_;
}

void ApiKeyChecker::check(std::string_view presented, const ApiKeyRequest& request,
                          ApiKeyAnswer& answer, const CancelToken& cancel) {
  State& known = state();
  if (presented.empty()) unauthenticated("this needs an API key");
  const auto key = PresentedApiKey::parse(presented);
  if (!key) no_such_key();
  known.check(*key, request, answer, cancel);
}

void ApiKeyChecker::charge(const std::string& id, std::uint64_t bytes) {
  state().charge(id, bytes);
}

std::vector<ApiKeyUsage> ApiKeyChecker::usage() const {
  return state().usage();
}

}  // namespace ptsecure
