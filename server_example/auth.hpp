#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <ptsecure/ptsecure.hpp>
#include <set>
#include <shared_mutex>
#include <string>

#include "server_example/http.hpp"
#include "server_example/options.hpp"
#include "server_example/router.hpp"

namespace server {

// Who may do what: the library's API keys, or anybody with --no-auth.
class Auth {
 public:
  Auth(const Options& options, const pts::Store& store, const pts::Keyring& keys);

  // Asks the store for the first time; may wait for it. Throws pts::Error; can be called again.
  void open();
  bool is_open() const;

  struct Verdict {
    std::optional<Answer> refused;
    std::string id;  // of the key
  };
  // Whether a check will not wait: actions that are open to all, no key at all, and keys that have
  // been good before.
  bool quick(const Route& route, const RequestHead& head) const;
  Verdict check(const Route& route, const RequestHead& head);
  // Whether the key may use this model. Costs nothing of its rates.
  bool may_use(const RequestHead& head, const std::string& model) const;
  // Bytes that weren't known when the key was checked.
  void charge(const std::string& id, std::uint64_t bytes) const;
  // When each key was last used here: JSON, see pts_apikeys_usage.
  std::string usage() const;

 private:
  std::shared_ptr<pts::ApiKeys> checker() const;

  const Options& options_;
  const pts::Store& store_;
  const pts::Keyring& keys_;
  mutable std::shared_mutex mutex_;
  std::shared_ptr<pts::ApiKeys> checker_;
  std::set<std::string> known_;  // ids
};

}  // namespace server
