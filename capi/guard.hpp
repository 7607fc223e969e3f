#pragma once

#include <string_view>
#include <type_traits>
#include <utility>

#include "libptsecure/base/error.hpp"
#include "ptsecure/ptsecure.h"

// The edge between C and C++: every function of the C ABI that can fail runs its body in guard() or
// create(), so that no exception leaves the library.
namespace ptsecure::capi {

// Turns the exception that is being handled into a status and fills `error` (which may be NULL).
pts_status report_current_exception(pts_error* error) noexcept;

// One line of valid UTF-8 with control characters replaced, cut at a character boundary, always
// NUL-terminated. Returns the number of bytes before the NUL.
std::size_t one_line(std::string_view text, char* out, std::size_t capacity) noexcept;

[[noreturn]] void throw_null(const char* what);

// The object behind an argument that must not be NULL.
template <typename T>
T& need(T* pointer, const char* what) {
  if (pointer == nullptr) throw_null(what);
  return *pointer;
}

// A text argument that must not be NULL.
inline const char* need_text(const char* text, const char* what) {
  if (text == nullptr) throw_null(what);
  return text;
}
// One that may be NULL, which is the same as empty.
inline const char* text_or_empty(const char* text) {
  return text == nullptr ? "" : text;
}

// Throws Status::invalid_argument naming `what` unless `text` is UTF-8.
std::string_view check_utf8(std::string_view text, const char* what);
inline std::string reason_text(const char* reason) {
  return std::string(check_utf8(text_or_empty(reason), "reason"));
}

template <typename Body>
pts_status guard(pts_error* error, Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return PTS_OK;
  } catch (...) {
    return report_current_exception(error);
  }
}

// A guard around a body that returns what goes to *out: NULL there whenever the call fails.
template <typename T, typename Body>
pts_status create(T** out, pts_error* error, Body&& body) noexcept {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&] {
    T*& result = need(out, "out");
    result = std::forward<Body>(body)();
  });
}

// The same for a number: 0 whenever the call fails.
template <typename T, typename Body>
pts_status produce(T* out, pts_error* error, Body&& body) noexcept {
  static_assert(std::is_arithmetic_v<T>);
  if (out != nullptr) *out = T{};
  return guard(error, [&] { need(out, "out") = std::forward<Body>(body)(); });
}

template <typename T>
void destroy(T** object) noexcept {
  if (object == nullptr) return;
  delete *object;
  *object = nullptr;
}

// A copy for the caller, freed by pts_text_destroy. Throws std::bad_alloc.
char* new_text(std::string_view text);

}  // namespace ptsecure::capi
