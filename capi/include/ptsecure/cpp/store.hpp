// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_STORE_HPP_
#define PTSECURE_CPP_STORE_HPP_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ptsecure/cpp/keyring.hpp"
#include "ptsecure/cpp/model.hpp"
#include "ptsecure/cpp/source.hpp"

namespace pts {

struct StoreOptions {
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds operation_timeout{60000};
  unsigned threads = 0;  // 0 = the cores this process may use
  // PTS_LOG_ERROR .. PTS_LOG_DEBUG; any thread, possibly several at once. What it throws is lost.
  detail::LogFunction log;
  std::string
      state;  // file that remembers what was seen of the store; empty = nothing is remembered
};

// See "state" in ptsecure.h.
inline std::string default_state_path() {
  return detail::text(pts_state_default_path);
}
// JSON.
inline std::string show_state(const std::string& path) {
  return detail::text(
      [&](char** out, pts_error* error) { return pts_state_show(path.c_str(), out, error); });
}
// Empty store = everything.
inline void reset_state(const std::string& path, const std::string& store = {}) {
  detail::run([&](pts_error* error) {
    return pts_state_reset(path.c_str(), detail::or_null(store), error);
  });
}

struct PublishOptions {
  std::string format;  // empty = what the bytes are: "torchscript" or "aotinductor"
  std::string alias;
  std::map<std::string, std::string> labels;
  std::vector<ValueView> sample;  // inputs of forward, borrowed during the call
  std::string sample_json;        // the same as a V2 JSON request
  std::string weights_of;         // publish weights for the program of this reference
  std::string torch_dir;
};

// What opens a foreign JWE: its key by one of the first two, and the digest of what must come out.
// See pts_import_options.
struct ImportOptions {
  std::string_view jwk;                // JSON, borrowed during the call
  const Source* jwk_source = nullptr;  // likewise
  std::string sha256;                  // 64 hex digits; empty = not checked
};

class Store {
 public:
  explicit Store(pts_store* handle) noexcept : handle_(handle) {}

  static Store open(const std::string& uri, const StoreOptions& options = {}) {
    pts_store_options raw = PTS_STORE_OPTIONS_INIT;
    raw.connect_timeout_ms = milliseconds(options.connect_timeout);
    raw.operation_timeout_ms = milliseconds(options.operation_timeout);
    raw.threads = options.threads;
    raw.state = detail::or_null(options.state);
    std::shared_ptr<detail::LogFunction> log;
    if (options.log) {
      log = std::make_shared<detail::LogFunction>(options.log);
      raw.log = &on_log;
      raw.log_user = log.get();
    }
    Store store(detail::make<Store, pts_store>([&](pts_store** out, pts_error* error) {
      return pts_store_open(uri.c_str(), &raw, out, error);
    }));
    store.log_ = std::move(log);
    return store;
  }

  // Without credentials and options.
  std::string uri() const { return pts_store_uri(get()); }
  // JSON, see pts_store_describe, pts_store_list and pts_store_list_versions.
  std::string describe(const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_describe(get(), raw, out, error);
    });
  }
  std::string list(const std::string& after = {}, std::uint64_t limit = 0,
                   const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_list(get(), detail::or_null(after), limit, raw, out, error);
    });
  }
  std::string list_versions(const std::string& name, std::uint64_t before = 0,
                            std::uint64_t limit = 0, const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_list_versions(get(), name.c_str(), before, limit, raw, out, error);
    });
  }

  // Returns the new version.
  std::uint64_t publish(const std::string& name, const Source& source, const Keyring& keys,
                        const PublishOptions& options = {}, const Call& call = {}) const {
    return publish_with(options, call, {&source},
                        [&](const pts_publish_options& raw, const pts_call* c,
                            std::uint64_t* version, pts_error* error) {
                          return pts_store_publish(get(), name.c_str(), source.get(), keys.get(),
                                                   &raw, c, version, error);
                        });
  }
  // The model that a JWE holds, see pts_store_import.
  std::uint64_t import_jwe(const std::string& name, const Source& source, const Keyring& keys,
                           const ImportOptions& import_options, const PublishOptions& options = {},
                           const Call& call = {}) const {
    pts_import_options from = PTS_IMPORT_OPTIONS_INIT;
    from.jwk = import_options.jwk.empty() ? nullptr : import_options.jwk.data();
    from.jwk_size = import_options.jwk.size();
    const Source* const jwk_source = import_options.jwk_source;
    from.jwk_source = jwk_source == nullptr ? nullptr : jwk_source->get();
    from.sha256 = detail::or_null(import_options.sha256);
    return publish_with(options, call, {&source, jwk_source},
                        [&](const pts_publish_options& raw, const pts_call* c,
                            std::uint64_t* version, pts_error* error) {
                          return pts_store_import(get(), name.c_str(), source.get(), keys.get(),
                                                  &from, &raw, c, version, error);
                        });
  }
  std::uint64_t copy(const std::string& reference, const Keyring& keys, const Store& target,
                     const Keyring& target_keys, const PublishOptions& options = {},
                     const Call& call = {}) const {
    return publish_with(options, call, {},
                        [&](const pts_publish_options& raw, const pts_call* c,
                            std::uint64_t* version, pts_error* error) {
                          return pts_store_copy(get(), reference.c_str(), keys.get(), target.get(),
                                                target_keys.get(), &raw, c, version, error);
                        });
  }

  void set_alias(const std::string& name, const std::string& alias, std::uint64_t version,
                 const Keyring& keys, const std::string& reason = {}, const Call& call = {}) const {
    detail::run(call, [&](const pts_call* raw, pts_error* error) {
      return pts_store_set_alias(get(), name.c_str(), alias.c_str(), version,
                                 detail::or_null(reason), keys.get(), raw, error);
    });
  }
  // Returns the version it points at now.
  std::uint64_t rollback_alias(const std::string& name, const std::string& alias,
                               const Keyring& keys, std::uint64_t version = 0,
                               const std::string& reason = {}, const Call& call = {}) const {
    std::uint64_t now = 0;
    detail::run(call, [&](const pts_call* raw, pts_error* error) {
      return pts_store_rollback_alias(get(), name.c_str(), detail::or_null(alias), version,
                                      detail::or_null(reason), keys.get(), raw, &now, error);
    });
    return now;
  }
  void delete_alias(const std::string& name, const std::string& alias, const Keyring& keys,
                    const std::string& reason = {}, const Call& call = {}) const {
    detail::run(call, [&](const pts_call* raw, pts_error* error) {
      return pts_store_delete_alias(get(), name.c_str(), alias.c_str(), detail::or_null(reason),
                                    keys.get(), raw, error);
    });
  }
  // JSON.
  std::string list_aliases(const std::string& name, const Keyring& keys,
                           const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_list_aliases(get(), name.c_str(), keys.get(), raw, out, error);
    });
  }
  std::string show_alias(const std::string& name, const std::string& alias, const Keyring& keys,
                         const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_show_alias(get(), name.c_str(), alias.c_str(), keys.get(), raw, out, error);
    });
  }
  std::string alias_history(const std::string& name, const std::string& alias, const Keyring& keys,
                            const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_alias_history(get(), name.c_str(), alias.c_str(), keys.get(), raw, out,
                                     error);
    });
  }
  void set_key_status(const std::string& reference, const std::string& status, const Keyring& keys,
                      const std::string& reason = {}, const Call& call = {}) const {
    detail::run(call, [&](const pts_call* raw, pts_error* error) {
      return pts_store_set_key_status(get(), reference.c_str(), status.c_str(),
                                      detail::or_null(reason), keys.get(), raw, error);
    });
  }
  // JSON.
  std::string log(const Keyring& keys, std::uint64_t first = 1, std::uint64_t limit = 0,
                  const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_log(get(), keys.get(), first, limit, raw, out, error);
    });
  }
  // Throws for the first finding that isn't PTS_OK, after all were made; `check` hears of each.
  void verify_log(const Keyring& keys, const CheckFunction& check = {},
                  const std::string& head = {}, const Call& call = {}) const {
    detail::RawCall known(call);
    detail::RawCheck findings{check, known};
    detail::run(known, [&](const pts_call* raw, pts_error* error) {
      return pts_store_verify_log(get(), keys.get(), detail::or_null(head), raw, findings.get(),
                                  &findings, error);
    });
  }

  Package fetch(const std::string& reference, const Keyring& keys, const OpenOptions& options = {},
                const Call& call = {}) const {
    const pts_open_options opening = detail::c_options(options);
    pts_package* out = nullptr;
    detail::run(call, [&](const pts_call* raw, pts_error* error) {
      return pts_store_fetch(get(), reference.c_str(), keys.get(), &opening, raw, &out, error);
    });
    return Package(out, log_);
  }
  // Fetch, verify, decrypt and load as one pipeline.
  Model load(const std::string& reference, const Keyring& keys, const OpenOptions& options = {},
             const Call& call = {}) const {
    const pts_open_options opening = detail::c_options(options);
    pts_model* out = nullptr;
    detail::run(call, [&](const pts_call* raw, pts_error* error) {
      return pts_model_open(get(), reference.c_str(), keys.get(), &opening, raw, &out, error);
    });
    return Model(out, log_);
  }

  // Throws for the first failed check after all were made; `check` hears of each.
  void verify(const std::string& reference, const Keyring& keys, const CheckFunction& check = {},
              const OpenOptions& options = {}, const Call& call = {}) const {
    const pts_open_options opening = detail::c_options(options);
    detail::RawCall known(call);
    detail::RawCheck findings{check, known};
    detail::run(known, [&](const pts_call* raw, pts_error* error) {
      return pts_store_verify(get(), reference.c_str(), keys.get(), &opening, raw, findings.get(),
                              &findings, error);
    });
  }
  // JSON, verified.
  std::string show(const std::string& reference, const Keyring& keys, const Call& call = {}) const {
    return detail::text(call, [&](const pts_call* raw, char** out, pts_error* error) {
      return pts_store_show(get(), reference.c_str(), keys.get(), raw, out, error);
    });
  }
  pts_store* get() const noexcept { return handle_.get(); }

 private:
  static std::int32_t milliseconds(std::chrono::milliseconds time) {
    const auto count = time.count();
    return count > INT32_MAX ? INT32_MAX : static_cast<std::int32_t>(count < 0 ? 0 : count);
  }
  static void on_log(void* user, std::int32_t level, const char* message) {
    try {
      (*static_cast<const detail::LogFunction*>(user))(level, message);
    } catch (...) {  // there is nobody to tell
    }
  }

  // Runs `function` and throws what it says, or what was thrown by the call's progress or by a
  // source's read (a source may be null).
  template <typename Function>
  static std::uint64_t publish_with(const PublishOptions& options, const Call& call,
                                    std::initializer_list<const Source*> sources,
                                    Function&& function) {
    std::vector<const char*> keys;
    std::vector<const char*> values;
    for (const auto& [key, value] : options.labels) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
    std::vector<const pts_value*> sample;
    sample.reserve(options.sample.size());
    for (const ValueView& input : options.sample) sample.push_back(input.get());

    pts_publish_options raw = PTS_PUBLISH_OPTIONS_INIT;
    raw.format = detail::or_null(options.format);
    raw.alias = detail::or_null(options.alias);
    raw.label_keys = keys.data();
    raw.label_values = values.data();
    raw.label_count = keys.size();
    raw.sample = sample.data();
    raw.sample_count = sample.size();
    raw.sample_json = detail::or_null(options.sample_json);
    raw.weights_of = detail::or_null(options.weights_of);
    raw.torch_dir = detail::or_null(options.torch_dir);

    detail::RawCall known(call);
    std::uint64_t version = 0;
    pts_error error;
    const pts_status status = function(raw, known.get(), &version, &error);
    if (status != PTS_OK && version != 0) throw AliasNotSet(status, error.message, version);
    for (const Source* source : sources) {
      if (status != PTS_OK && source != nullptr) source->thrown_->rethrow();
    }
    known.finish(status, error);
    return version;
  }

  std::shared_ptr<const detail::LogFunction> log_;  // outlives the handle
  detail::Handle<pts_store, pts_store_destroy> handle_;
};

}  // namespace pts

#endif  // PTSECURE_CPP_STORE_HPP_
