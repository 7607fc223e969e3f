#include "libptsecure/base/error.hpp"

namespace ptsecure {

const char* status_name(Status status) noexcept {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::invalid_argument:
      return "invalid_argument";
    case Status::not_found:
      return "not_found";
    case Status::already_exists:
      return "already_exists";
    case Status::conflict:
      return "conflict";
    case Status::untrusted:
      return "untrusted";
    case Status::corrupt:
      return "corrupt";
    case Status::no_key:
      return "no_key";
    case Status::revoked:
      return "revoked";
    case Status::rollback:
      return "rollback";
    case Status::permission_denied:
      return "permission_denied";
    case Status::unavailable:
      return "unavailable";
    case Status::timeout:
      return "timeout";
    case Status::cancelled:
      return "cancelled";
    case Status::io:
      return "io";
    case Status::out_of_memory:
      return "out_of_memory";
    case Status::unsupported:
      return "unsupported";
    case Status::invalid_model:
      return "invalid_model";
    case Status::invalid_input:
      return "invalid_input";
    case Status::engine:
      return "engine";
    case Status::limit_exceeded:
      return "limit_exceeded";
    case Status::closed:
      return "closed";
    case Status::internal:
      return "internal";
    case Status::unauthenticated:
      return "unauthenticated";
    case Status::forbidden:
      return "forbidden";
    case Status::rate_limited:
      return "rate_limited";
  }
  return "unknown";
}

}  // namespace ptsecure
