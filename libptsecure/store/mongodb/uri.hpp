#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "libptsecure/store/mongodb/driver.hpp"
#include "libptsecure/store/store.hpp"

namespace ptsecure::mongodb {

struct UriDeleter {
  void operator()(mongoc_uri_t* uri) const { mongoc_uri_destroy(uri); }
};

// A MongoDB URI, checked and completed with our time limits where it names none.
struct Target {
  std::unique_ptr<mongoc_uri_t, UriDeleter> uri;
  std::string database;
  std::string addresses;  // "host:port, host:port", for messages
  std::string display;    // scheme, hosts and database: no credentials, no options
  std::chrono::milliseconds selection_timeout{};
  std::chrono::milliseconds connect_timeout{};
  std::chrono::milliseconds operation_timeout{};
};

// Throws Status::invalid_argument with a message that quotes no credentials.
Target parse_target(const std::string& text, const StoreOptions& options);

}  // namespace ptsecure::mongodb
