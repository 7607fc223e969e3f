// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_STORE_HPP_
#define PTSECURE_CPP_STORE_HPP_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ptsecure/cpp/keyring.hpp"
#include "ptsecure/cpp/model.hpp"

namespace pts {

struct StoreOptions {
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds operation_timeout{60000};
  unsigned threads = 0;
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
  const Cancel* cancel = nullptr;
  Progress progress;
};

// A file in GridFS: by `filename`, the newest of that name, or by `id`. See pts_gridfs_file.
struct GridfsFile {
  std::string uri;
  std::string bucket = "fs";
  std::string filename;
  std::string id;
  std::string jwk_filename;  // of its JWK in the same bucket; empty = the JWK is given
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

  // JSON, see pts_store_describe, pts_store_list and pts_store_list_versions.
  std::string describe() const {
    return detail::text(
        [&](char** out, pts_error* error) { return pts_store_describe(get(), out, error); });
  }
  std::string list(const std::string& after = {}, std::uint64_t limit = 0) const {
    return detail::text([&](char** out, pts_error* error) {
      return pts_store_list(get(), detail::or_null(after), limit, out, error);
    });
  }
  std::string list_versions(const std::string& name, std::uint64_t before = 0,
                            std::uint64_t limit = 0) const {
    return detail::text([&](char** out, pts_error* error) {
      return pts_store_list_versions(get(), name.c_str(), before, limit, out, error);
    });
  }

  std::uint64_t publish_file(const std::string& name, const std::string& path, const Keyring& keys,
                             const PublishOptions& options = {}) const {
    return publish(options, [&](const pts_publish_options& raw, std::uint64_t* version,
                                detail::Callbacks& callbacks, pts_error* error) {
      return pts_store_publish_file(get(), name.c_str(), path.c_str(), keys.get(), &raw, version,
                                    callbacks.progress_fn(), &callbacks, error);
    });
  }
  std::uint64_t publish_bytes(const std::string& name, const void* data, std::size_t size,
                              const Keyring& keys, const PublishOptions& options = {}) const {
    return publish(options, [&](const pts_publish_options& raw, std::uint64_t* version,
                                detail::Callbacks& callbacks, pts_error* error) {
      return pts_store_publish_bytes(get(), name.c_str(), data, size, keys.get(), &raw, version,
                                     callbacks.progress_fn(), &callbacks, error);
    });
  }
  // `read(position, data, size)` fills data; see pts_read_fn for its threads.
  std::uint64_t publish_read(const std::string& name, std::uint64_t size,
                             std::function<void(std::uint64_t, void*, std::size_t)> read,
                             const Keyring& keys, const PublishOptions& options = {}) const {
    return publish(options, [&](const pts_publish_options& raw, std::uint64_t* version,
                                detail::Callbacks& callbacks, pts_error* error) {
      callbacks.read = std::move(read);
      return pts_store_publish_read(get(), name.c_str(), size, keys.get(), &raw, version,
                                    &detail::Callbacks::on_read, callbacks.progress_fn(),
                                    &callbacks, error);
    });
  }
  // The model that a JWE holds, opened by `jwk` (JSON); see pts_store_import_file.
  std::uint64_t import_file(const std::string& name, const std::string& path,
                            const std::string& jwk, const std::string& sha256, const Keyring& keys,
                            const PublishOptions& options = {}) const {
    return publish(options, [&](const pts_publish_options& raw, std::uint64_t* version,
                                detail::Callbacks& callbacks, pts_error* error) {
      return pts_store_import_file(get(), name.c_str(), path.c_str(), jwk.c_str(), jwk.size(),
                                   detail::or_null(sha256), keys.get(), &raw, version,
                                   callbacks.progress_fn(), &callbacks, error);
    });
  }
  std::uint64_t import_read(const std::string& name, std::uint64_t size,
                            std::function<void(std::uint64_t, void*, std::size_t)> read,
                            const std::string& jwk, const std::string& sha256, const Keyring& keys,
                            const PublishOptions& options = {}) const {
    return publish(options, [&](const pts_publish_options& raw, std::uint64_t* version,
                                detail::Callbacks& callbacks, pts_error* error) {
      callbacks.read = std::move(read);
      return pts_store_import_read(
          get(), name.c_str(), size, jwk.c_str(), jwk.size(), detail::or_null(sha256), keys.get(),
          &raw, version, &detail::Callbacks::on_read, callbacks.progress_fn(), &callbacks, error);
    });
  }
  // `jwk` empty: file.jwk_filename names it; see pts_store_import_gridfs.
  std::uint64_t import_gridfs(const std::string& name, const GridfsFile& file,
                              const std::string& jwk, const std::string& sha256,
                              const Keyring& keys, const PublishOptions& options = {}) const {
    pts_gridfs_file source = PTS_GRIDFS_FILE_INIT;
    source.uri = file.uri.c_str();
    source.bucket = file.bucket.c_str();
    source.filename = detail::or_null(file.filename);
    source.id = detail::or_null(file.id);
    source.jwk_filename = detail::or_null(file.jwk_filename);
    return publish(options, [&](const pts_publish_options& raw, std::uint64_t* version,
                                detail::Callbacks& callbacks, pts_error* error) {
      return pts_store_import_gridfs(get(), name.c_str(), &source, detail::or_null(jwk), jwk.size(),
                                     detail::or_null(sha256), keys.get(), &raw, version,
                                     callbacks.progress_fn(), &callbacks, error);
    });
  }
  std::uint64_t copy(const std::string& reference, const Keyring& keys, const Store& target,
                     const Keyring& target_keys, const PublishOptions& options = {}) const {
    return publish(options, [&](const pts_publish_options& raw, std::uint64_t* version,
                                detail::Callbacks& callbacks, pts_error* error) {
      return pts_store_copy(get(), reference.c_str(), keys.get(), target.get(), target_keys.get(),
                            &raw, version, callbacks.progress_fn(), &callbacks, error);
    });
  }

  void set_alias(const std::string& name, const std::string& alias, std::uint64_t version,
                 const Keyring& keys, const std::string& reason = {}) const {
    detail::run([&](pts_error* error) {
      return pts_store_set_alias(get(), name.c_str(), alias.c_str(), version,
                                 detail::or_null(reason), keys.get(), error);
    });
  }
  // Returns the version it points at now.
  std::uint64_t rollback_alias(const std::string& name, const std::string& alias,
                               const Keyring& keys, std::uint64_t version = 0,
                               const std::string& reason = {}) const {
    std::uint64_t now = 0;
    detail::run([&](pts_error* error) {
      return pts_store_rollback_alias(get(), name.c_str(), detail::or_null(alias), version,
                                      detail::or_null(reason), keys.get(), &now, error);
    });
    return now;
  }
  void delete_alias(const std::string& name, const std::string& alias, const Keyring& keys,
                    const std::string& reason = {}) const {
    detail::run([&](pts_error* error) {
      return pts_store_delete_alias(get(), name.c_str(), alias.c_str(), detail::or_null(reason),
                                    keys.get(), error);
    });
  }
  // JSON.
  std::string show_alias(const std::string& name, const std::string& alias,
                         const Keyring& keys) const {
    return detail::text([&](char** out, pts_error* error) {
      return pts_store_show_alias(get(), name.c_str(), alias.c_str(), keys.get(), out, error);
    });
  }
  std::string alias_history(const std::string& name, const std::string& alias,
                            const Keyring& keys) const {
    return detail::text([&](char** out, pts_error* error) {
      return pts_store_alias_history(get(), name.c_str(), alias.c_str(), keys.get(), out, error);
    });
  }
  std::string log(const Keyring& keys, std::uint64_t first = 1, std::uint64_t limit = 0) const {
    return detail::text([&](char** out, pts_error* error) {
      return pts_store_log(get(), keys.get(), first, limit, out, error);
    });
  }
  // Throws for the first finding that isn't PTS_OK, after all were made; `check` hears of each.
  void verify_log(
      const Keyring& keys,
      std::function<void(const char* check, pts_status status, const char* detail)> check = {},
      const std::string& head = {}, const Cancel* cancel = nullptr) const {
    detail::Callbacks callbacks;
    callbacks.check = std::move(check);
    detail::run_with(callbacks, [&](pts_error* error) {
      return pts_store_verify_log(
          get(), keys.get(), detail::or_null(head), cancel == nullptr ? nullptr : cancel->get(),
          callbacks.check ? &detail::Callbacks::on_check : nullptr, &callbacks, error);
    });
  }
  // JSON.
  std::string list_aliases(const std::string& name, const Keyring& keys) const {
    return detail::text([&](char** out, pts_error* error) {
      return pts_store_list_aliases(get(), name.c_str(), keys.get(), out, error);
    });
  }
  void set_key_status(const std::string& reference, const std::string& status, const Keyring& keys,
                      const std::string& reason = {}) const {
    detail::run([&](pts_error* error) {
      return pts_store_set_key_status(get(), reference.c_str(), status.c_str(),
                                      detail::or_null(reason), keys.get(), error);
    });
  }

  Package fetch(const std::string& reference, const Keyring& keys,
                const OpenOptions& options = {}) const {
    const pts_open_options raw = detail::c_options(options);
    pts_package* out = nullptr;
    detail::run([&](pts_error* error) {
      return pts_store_fetch(get(), reference.c_str(), keys.get(), &raw, &out, error);
    });
    return Package(out, log_);
  }
  // Fetch, verify, decrypt and load as one pipeline.
  Model load(const std::string& reference, const Keyring& keys,
             const OpenOptions& options = {}) const {
    const pts_open_options raw = detail::c_options(options);
    detail::Callbacks callbacks;
    callbacks.progress = options.progress;
    pts_model* out = nullptr;
    detail::run_with(callbacks, [&](pts_error* error) {
      return pts_model_open(get(), reference.c_str(), keys.get(), &raw, &out,
                            callbacks.progress_fn(), &callbacks, error);
    });
    return Model(out, log_);
  }

  // Throws for the first failed check after all were made; `check` hears of each.
  void verify(
      const std::string& reference, const Keyring& keys,
      std::function<void(const char* check, pts_status status, const char* detail)> check = {},
      const OpenOptions& options = {}) const {
    const pts_open_options raw = detail::c_options(options);
    detail::Callbacks callbacks;
    callbacks.progress = options.progress;
    callbacks.check = std::move(check);
    detail::run_with(callbacks, [&](pts_error* error) {
      return pts_store_verify(get(), reference.c_str(), keys.get(), &raw,
                              callbacks.check ? &detail::Callbacks::on_check : nullptr,
                              callbacks.progress_fn(), &callbacks, error);
    });
  }
  // JSON, verified.
  std::string show(const std::string& reference, const Keyring& keys) const {
    return detail::text([&](char** out, pts_error* error) {
      return pts_store_show(get(), reference.c_str(), keys.get(), out, error);
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

  template <typename Call>
  static std::uint64_t publish(const PublishOptions& options, Call&& call) {
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
    raw.cancel = options.cancel == nullptr ? nullptr : options.cancel->get();

    detail::Callbacks callbacks;
    callbacks.progress = options.progress;
    std::uint64_t version = 0;
    pts_error error;
    const pts_status status = call(raw, &version, callbacks, &error);
    if (status != PTS_OK && version != 0) throw AliasNotSet(status, error.message, version);
    callbacks.finish(status, error);
    return version;
  }

  std::shared_ptr<const detail::LogFunction> log_;  // outlives the handle
  detail::Handle<pts_store, pts_store_destroy> handle_;
};

}  // namespace pts

#endif  // PTSECURE_CPP_STORE_HPP_
