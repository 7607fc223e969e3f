// SPDX-License-Identifier: Apache-2.0
// Part of ptsecure/ptsecure.hpp; include that.
#ifndef PTSECURE_CPP_ERROR_HPP_
#define PTSECURE_CPP_ERROR_HPP_

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "ptsecure/ptsecure.h"

namespace pts {

// Any failure; status() says what can be done about it, what() is a sentence for a person.
class Error : public std::runtime_error {
 public:
  Error(pts_status status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  pts_status status() const noexcept { return status_; }
  const char* status_name() const noexcept { return pts_status_name(status_); }

 private:
  pts_status status_;
};

// One class per status that programs handle; the others come as Error itself.
class NotFound : public Error {
  using Error::Error;
};
class AlreadyExists : public Error {
  using Error::Error;
};
class Conflict : public Error {
  using Error::Error;
};
class Untrusted : public Error {
  using Error::Error;
};
class Corrupt : public Error {
  using Error::Error;
};
class NoKey : public Error {
  using Error::Error;
};
class Revoked : public Error {
  using Error::Error;
};
class PermissionDenied : public Error {
  using Error::Error;
};
class Unavailable : public Error {
  using Error::Error;
};
class Timeout : public Error {
  using Error::Error;
};
class Cancelled : public Error {
  using Error::Error;
};
class InvalidModel : public Error {
  using Error::Error;
};
class InvalidInput : public Error {
  using Error::Error;
};

class Unauthenticated : public Error {
  using Error::Error;
};
class Forbidden : public Error {
  using Error::Error;
};
class RateLimited : public Error {
  using Error::Error;
};

// The version is published, but its alias is not set.
class AliasNotSet : public Error {
 public:
  AliasNotSet(pts_status status, const std::string& message, std::uint64_t version)
      : Error(status, message), version_(version) {}
  std::uint64_t version() const noexcept { return version_; }

 private:
  std::uint64_t version_;
};

namespace detail {

[[noreturn]] inline void raise(const pts_error& error) {
  switch (error.code) {
    case PTS_NOT_FOUND:
      throw NotFound(error.code, error.message);
    case PTS_ALREADY_EXISTS:
      throw AlreadyExists(error.code, error.message);
    case PTS_CONFLICT:
      throw Conflict(error.code, error.message);
    case PTS_UNTRUSTED:
      throw Untrusted(error.code, error.message);
    case PTS_CORRUPT:
      throw Corrupt(error.code, error.message);
    case PTS_NO_KEY:
      throw NoKey(error.code, error.message);
    case PTS_REVOKED:
      throw Revoked(error.code, error.message);
    case PTS_PERMISSION_DENIED:
      throw PermissionDenied(error.code, error.message);
    case PTS_UNAVAILABLE:
      throw Unavailable(error.code, error.message);
    case PTS_TIMEOUT:
      throw Timeout(error.code, error.message);
    case PTS_CANCELLED:
      throw Cancelled(error.code, error.message);
    case PTS_INVALID_MODEL:
      throw InvalidModel(error.code, error.message);
    case PTS_INVALID_INPUT:
      throw InvalidInput(error.code, error.message);
    case PTS_UNAUTHENTICATED:
      throw Unauthenticated(error.code, error.message);
    case PTS_FORBIDDEN:
      throw Forbidden(error.code, error.message);
    case PTS_RATE_LIMITED:
      throw RateLimited(error.code, error.message);
    default:
      throw Error(error.code, error.message);
  }
}

inline void check(pts_status status, const pts_error& error) {
  if (status != PTS_OK) raise(error);
}

// Sets up an error, runs `call(&error)` and throws what it says.
template <typename Function>
void run(Function&& call) {
  pts_error error;
  check(call(&error), error);
}

// The text, and the library's own copy freed.
inline std::string take_text(char* raw) {
  const auto free_text = [](char* p) { pts_text_destroy(&p); };
  const std::unique_ptr<char, decltype(free_text)> owner(raw, free_text);
  return std::string(raw);
}

template <typename Function>
std::string text(Function&& call) {
  char* raw = nullptr;
  run([&](pts_error* error) { return call(&raw, error); });
  return take_text(raw);
}

// Owns a handle of a type with a function pts_noun_destroy(T**).
template <typename T, void (*kDestroy)(T**)>
class Handle {
 public:
  Handle() noexcept = default;
  explicit Handle(T* handle) noexcept : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      kDestroy(&handle_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Handle() { kDestroy(&handle_); }

  T* get() const noexcept { return handle_; }
  T* release() noexcept { return std::exchange(handle_, nullptr); }

 private:
  T* handle_ = nullptr;
};

// Runs `call(T** out, pts_error*)` and owns what it makes.
template <typename H, typename T, typename Function>
H make(Function&& call) {
  T* raw = nullptr;
  run([&](pts_error* error) { return call(&raw, error); });
  return H(raw);
}

inline const char* or_null(const std::string& text) {
  return text.empty() ? nullptr : text.c_str();
}

}  // namespace detail

}  // namespace pts

#endif  // PTSECURE_CPP_ERROR_HPP_
