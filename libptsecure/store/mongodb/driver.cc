#include "libptsecure/store/mongodb/driver.hpp"

#include <dlfcn.h>

#include <atomic>
#include <mutex>
#include <string>

#include "libptsecure/base/error.hpp"
#include "libptsecure/store/mongodb/version.hpp"

namespace ptsecure::mongodb {
namespace {

constexpr const char* kLibrary = "libmongoc-1.0.so.0";

std::once_flag g_opening;
std::atomic<bool> g_open{false};

[[noreturn]] void fail_to_open() {
  const char* reason = dlerror();
  throw Error(Status::unsupported, "a MongoDB store needs libmongoc " MONGOC_VERSION_S
                                   " or newer, which could not be opened (" +
                                       std::string(reason != nullptr ? reason : kLibrary) +
                                       "); install it (Debian: libmongoc-1.0-0)");
}

void open_once() {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail_to_open();
  const auto find = [library](const char* name) {
    void* symbol = dlsym(library, name);
    if (symbol == nullptr) fail_to_open();
    return symbol;
  };
#define PTSECURE_FIND(name) name.set(find(#name));
  PTSECURE_MONGOC_FUNCTIONS(PTSECURE_FIND)
#undef PTSECURE_FIND
  mongoc_log_get_handler.set(dlsym(library, "_mongoc_log_get_handler"));
  mongoc_init();
  g_open = true;
}

}  // namespace

void open_driver() {
  std::call_once(g_opening, open_once);
}

}  // namespace ptsecure::mongodb

namespace ptsecure {

std::string mongodb_driver_version() {
  return mongodb::g_open ? mongodb::mongoc_get_version() : MONGOC_VERSION_S;
}

}  // namespace ptsecure
