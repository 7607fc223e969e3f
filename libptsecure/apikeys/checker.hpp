#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/apikeys/apikey.hpp"
#include "libptsecure/keyring/keyring.hpp"
#include "libptsecure/store/store.hpp"

namespace ptsecure {

struct ApiKeyRequest {
  std::string_view model;  // empty = none (infer), all (admin)
  ApiKeyScope scope = ApiKeyScope::infer;
  bool counted = true;
  std::uint64_t bytes = 0;
};

// What is known of the key once it is authentic, also when the check throws.
struct ApiKeyAnswer {
  std::string id;
  std::string owner;
  std::chrono::milliseconds retry_after{0};
};

// What a key was used for since the checker was made.
struct ApiKeyUsage {
  std::string id;
  std::string owner;
  std::int64_t last_used = 0;  // seconds since 1970; 0 = never
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  std::uint64_t limited = 0;  // requests that were refused for the key's rate
};

// Checks the keys that requests bring. Thread-safe.
//
// One thread of its own asks the store: every `refresh`, and soon after a second thread, which
// holds a Store::watch, hears of a change, it reads the numbers of the last records of all keys
// (one query), and of keys it holds the records that are new. So the set of ids is known, and an id
// that isn't in it costs the store nothing, apart from a few looks a second for keys made since the
// last refresh. A key is read when it is first shown.
//
// Of each key it holds the place in its chain that it has seen. Records that don't continue from
// there, or that are no longer there, refuse the key.
class ApiKeyChecker {
 public:
  struct Options {
    std::chrono::milliseconds grace{60000};  // how long keys stay valid without the store
    std::chrono::milliseconds refresh{500};
  };

  // Asks the store once, which `cancel` may end; throws what that throws.
  ApiKeyChecker(std::shared_ptr<Store> store, Keyring keys, const Options& options,
                const CancelToken& cancel = {});
  ~ApiKeyChecker();

  // Throws Status::unauthenticated, forbidden, rate_limited, unavailable, closed (after a fork), or
  // what is wrong with the key's records.
  void check(std::string_view presented, const ApiKeyRequest& request, ApiKeyAnswer& answer,
             const CancelToken& cancel = {});
  void charge(const std::string& id, std::uint64_t bytes);
  // Of the keys that were used, or refused for their rate.
  std::vector<ApiKeyUsage> usage() const;

 private:
  struct State;
  State& state() const;
  std::unique_ptr<State> state_;
};

}  // namespace ptsecure
