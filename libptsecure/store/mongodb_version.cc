#include "libptsecure/store/mongodb_version.hpp"

#include <mongoc/mongoc.h>

namespace ptsecure {

const char* mongodb_driver_version() noexcept {
  return mongoc_get_version();
}

}  // namespace ptsecure
