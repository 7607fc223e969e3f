#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>
#include <string>

#include "capi/guard.hpp"
#include "libptsecure/base/text.hpp"

namespace ptsecure::capi {
namespace {

#define PTSECURE_SAME(c_name, cpp_name) \
  static_assert(PTS_##c_name == static_cast<pts_status>(Status::cpp_name))
PTSECURE_SAME(OK, ok);
PTSECURE_SAME(INVALID_ARGUMENT, invalid_argument);
PTSECURE_SAME(NOT_FOUND, not_found);
PTSECURE_SAME(ALREADY_EXISTS, already_exists);
PTSECURE_SAME(CONFLICT, conflict);
PTSECURE_SAME(UNTRUSTED, untrusted);
PTSECURE_SAME(CORRUPT, corrupt);
PTSECURE_SAME(NO_KEY, no_key);
PTSECURE_SAME(REVOKED, revoked);
PTSECURE_SAME(ROLLBACK, rollback);
PTSECURE_SAME(PERMISSION_DENIED, permission_denied);
PTSECURE_SAME(UNAVAILABLE, unavailable);
PTSECURE_SAME(TIMEOUT, timeout);
PTSECURE_SAME(CANCELLED, cancelled);
PTSECURE_SAME(IO, io);
PTSECURE_SAME(OUT_OF_MEMORY, out_of_memory);
PTSECURE_SAME(UNSUPPORTED, unsupported);
PTSECURE_SAME(INVALID_MODEL, invalid_model);
PTSECURE_SAME(INVALID_INPUT, invalid_input);
PTSECURE_SAME(ENGINE, engine);
PTSECURE_SAME(LIMIT_EXCEEDED, limit_exceeded);
PTSECURE_SAME(CLOSED, closed);
PTSECURE_SAME(INTERNAL, internal);
PTSECURE_SAME(UNAUTHENTICATED, unauthenticated);
PTSECURE_SAME(FORBIDDEN, forbidden);
PTSECURE_SAME(RATE_LIMITED, rate_limited);
#undef PTSECURE_SAME
static_assert(sizeof(pts_error) == 1024);

pts_status fill(pts_error* error, Status status, std::string_view message) noexcept {
  const auto code = static_cast<pts_status>(status);
  if (error != nullptr) {
    error->code = code;
    one_line(message, error->message, sizeof(error->message));
  }
  return code;
}

}  // namespace

std::size_t one_line(std::string_view text, char* out, std::size_t capacity) noexcept {
  std::size_t size = 0;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    std::string_view written = character;
    if (length == 0)
      written = "?";
    else if (is_control(character))
      written = size > 0 && out[size - 1] == ' ' ? "" : " ";
    if (size + written.size() + 1 > capacity) break;
    std::memcpy(out + size, written.data(), written.size());
    size += written.size();
    text.remove_prefix(character.size());
  }
  while (size > 0 && out[size - 1] == ' ') --size;
  out[size] = '\0';
  return size;
}

std::string_view check_utf8(std::string_view text, const char* what) {
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t length = utf8_length(rest);
    if (length == 0) {
      throw Error(Status::invalid_argument, std::string(what) + " is not UTF-8: byte " +
                                                std::to_string(text.size() - rest.size()) +
                                                " begins no character");
    }
    rest.remove_prefix(length);
  }
  return text;
}

pts_status report_current_exception(pts_error* error) noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return fill(error, e.status() == Status::ok ? Status::internal : e.status(), e.what());
  } catch (const std::bad_alloc&) {
    return fill(error, Status::out_of_memory, "not enough memory");
  } catch (const std::filesystem::filesystem_error& e) {
    return fill(error, Status::io, e.what());
  } catch (const std::exception& e) {
    return fill(error, Status::internal, e.what());
  } catch (...) {
    return fill(error, Status::internal,
                "an unknown exception; this is a defect, please report it");
  }
}

void throw_null(const char* what) {
  throw Error(Status::invalid_argument, std::string(what) + " must not be NULL");
}

char* new_text(std::string_view text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  return copy;
}

}  // namespace ptsecure::capi

const char* pts_status_name(pts_status status) {
  return ptsecure::status_name(static_cast<ptsecure::Status>(status));
}

void pts_text_destroy(char** text) {
  if (text == nullptr) return;
  std::free(*text);
  *text = nullptr;
}
