// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_KEYRING_HPP_
#define PTSECURE_CPP_KEYRING_HPP_

#include <string>
#include <string_view>
#include <utility>

#include "ptsecure/cpp/library.hpp"

namespace pts {

struct KeyringOptions {
  std::string passphrase;
  bool allow_group_read = false;
};

class Keyring {
 public:
  explicit Keyring(pts_keyring* handle) noexcept : handle_(handle) {}

  static Keyring load(const std::string& path, const KeyringOptions& options = {}) {
    const pts_keyring_options raw = c_options(options);
    return make([&](pts_keyring** out, pts_error* error) {
      return pts_keyring_load(path.c_str(), &raw, out, error);
    });
  }
  static Keyring parse(std::string_view json, const KeyringOptions& options = {}) {
    const pts_keyring_options raw = c_options(options);
    return make([&](pts_keyring** out, pts_error* error) {
      return pts_keyring_parse(json.data(), json.size(), &raw, out, error);
    });
  }
  static Keyring from_env(const std::string& variable, const KeyringOptions& options = {}) {
    const pts_keyring_options raw = c_options(options);
    return make([&](pts_keyring** out, pts_error* error) {
      return pts_keyring_from_env(variable.c_str(), &raw, out, error);
    });
  }
  static Keyring generate() { return make(pts_keyring_generate); }

  Keyring split(const std::string& role) const {
    return make([&](pts_keyring** out, pts_error* error) {
      return pts_keyring_split(get(), role.c_str(), out, error);
    });
  }
  Keyring public_part() const {
    return make(
        [&](pts_keyring** out, pts_error* error) { return pts_keyring_public(get(), out, error); });
  }
  void save(const std::string& path, const std::string& passphrase = {}) const {
    detail::run([&](pts_error* error) {
      return pts_keyring_save(get(), path.c_str(), detail::or_null(passphrase), error);
    });
  }
  // JSON, private keys included.
  Bytes export_keys() const {
    return detail::make<Bytes, pts_bytes>(
        [&](pts_bytes** out, pts_error* error) { return pts_keyring_export(get(), out, error); });
  }
  // JSON without secrets.
  std::string describe() const {
    return detail::text(
        [&](char** out, pts_error* error) { return pts_keyring_describe(get(), out, error); });
  }
  pts_keyring* get() const noexcept { return handle_.get(); }

 private:
  template <typename Function>
  static Keyring make(Function&& call) {
    return detail::make<Keyring, pts_keyring>(std::forward<Function>(call));
  }
  static pts_keyring_options c_options(const KeyringOptions& options) {
    pts_keyring_options raw = PTS_KEYRING_OPTIONS_INIT;
    raw.passphrase = detail::or_null(options.passphrase);
    raw.allow_group_read = options.allow_group_read ? 1 : 0;
    return raw;
  }
  detail::Handle<pts_keyring, pts_keyring_destroy> handle_;
};

}  // namespace pts

#endif  // PTSECURE_CPP_KEYRING_HPP_
