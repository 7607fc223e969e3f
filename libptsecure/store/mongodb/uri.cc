#include "libptsecure/store/mongodb/uri.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "libptsecure/base/error.hpp"
#include "libptsecure/store/mongodb/log.hpp"

namespace ptsecure::mongodb {
namespace {

using std::chrono::milliseconds;
using UriPtr = std::unique_ptr<mongoc_uri_t, UriDeleter>;

constexpr std::string_view kForm =
    "expected mongodb://[user:password@]host[:port][,host...]/database[?options], as in "
    "mongodb://127.0.0.1:27017/models";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Status::invalid_argument, what + "; " + std::string(kForm));
}

// The URI without "user:password@".
std::string without_credentials(const std::string& text) {
  const std::size_t scheme = text.find("://");
  const std::size_t at = text.rfind('@');
  if (scheme == std::string::npos || at == std::string::npos) return text;
  return text.substr(0, scheme + 3) + text.substr(at + 1);
}

[[noreturn]] void refuse_credentials() {
  refuse(
      "the user name or the password in the MongoDB URI can't be read; characters such as "
      "/ : @ % must be percent-encoded there");
}

// What libmongoc says about a URI may quote a part of the password, so it is asked again about the
// URI without one.
[[noreturn]] void refuse_uri(const std::string& text) {
  bson_error_t error{};
  const UriPtr uri(mongoc_uri_new_with_error(without_credentials(text).c_str(), &error));
  if (!uri) refuse("the MongoDB URI can't be read (" + std::string(error.message) + ")");
  refuse_credentials();
}

// libmongoc takes "mongodb://user:half@otherhalf@host" for a host named otherhalf@host.
void check_hosts(const mongoc_uri_t* uri) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  for (const mongoc_host_list_t* host = mongoc_uri_get_hosts(uri); host; host = host->next) {
    const std::string_view name = host->host;
    if (name.find('@') != std::string_view::npos) refuse_credentials();
    if (host->family == AF_UNIX) continue;
    in6_addr ipv6;
    const std::string address(name.substr(0, name.find('%')));
    if (host->family == AF_INET6 && ::inet_pton(AF_INET6, address.c_str(), &ipv6) == 1) continue;
    if (name.empty() || name.find_first_not_of(kAllowed) != std::string_view::npos) {
      refuse("the MongoDB URI names a host that is no host name");
    }
  }
}

std::string host_list(const mongoc_uri_t* uri, const char* separator) {
  if (const char* service = mongoc_uri_get_srv_hostname(uri)) return service;
  std::string out;
  for (const mongoc_host_list_t* host = mongoc_uri_get_hosts(uri); host; host = host->next) {
    if (!out.empty()) out += separator;
    out += host->host_and_port;
  }
  return out;
}

std::string checked_database(const mongoc_uri_t* uri) {
  const char* database = mongoc_uri_get_database(uri);
  if (!database || !*database) {
    refuse("the MongoDB URI names no database, so it isn't known where the models are");
  }
  const std::string_view name = database;
  constexpr std::array<std::string_view, 3> kReserved = {"admin", "config", "local"};
  if (std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end()) {
    refuse("the database '" + std::string(name) + "' belongs to MongoDB itself; name another one");
  }
  if (name.size() > 63 || name.find_first_of("/\\. \"$*<>:|?") != std::string_view::npos) {
    refuse("the MongoDB URI names a database that MongoDB would not accept");
  }
  return database;
}

// The URI's own value wins over ours: whoever wrote it there meant this one.
milliseconds limit(mongoc_uri_t* uri, const char* option, milliseconds ours) {
  const auto count =
      std::clamp<milliseconds::rep>(ours.count(), 1, std::numeric_limits<std::int32_t>::max() / 2);
  const auto fallback = static_cast<std::int32_t>(count);
  std::int32_t value = mongoc_uri_get_option_as_int32(uri, option, fallback);
  if (value <= 0) value = fallback;
  mongoc_uri_set_option_as_int32(uri, option, value);
  return milliseconds(value);
}

void complete(Target& target, const StoreOptions& options) {
  mongoc_uri_t* uri = target.uri.get();
  target.selection_timeout =
      limit(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, options.connect_timeout);
  target.connect_timeout = limit(uri, MONGOC_URI_CONNECTTIMEOUTMS, options.connect_timeout);
  target.operation_timeout = limit(uri, MONGOC_URI_SOCKETTIMEOUTMS, options.operation_timeout);
  // Looking for a server again is done here, where it can be cancelled.
  mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, true);
  if (!mongoc_uri_get_appname(uri)) mongoc_uri_set_appname(uri, "ptsecure");
  const char* mechanism = mongoc_uri_get_auth_mechanism(uri);
  if (mechanism && std::string_view(mechanism) == "MONGODB-X509") {
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_TLS, true);
  }
}

// The option that a warning of libmongoc's is about when it is unknown to it, such as a mistyped
// `tls`; empty for other warnings.
std::string unknown_option(std::string_view warning) {
  constexpr std::string_view kMark = "Unsupported URI option \"";
  const std::size_t mark = warning.find(kMark);
  if (mark == std::string_view::npos) return {};
  const std::string_view rest = warning.substr(mark + kMark.size());
  return std::string(rest.substr(0, rest.find('"')));
}

}  // namespace

Target parse_target(const std::string& text, const StoreOptions& options) {
  if (text.find('\0') != std::string::npos) refuse("the MongoDB URI holds a NUL byte");
  initialise();
  Target target;
  std::string ignored;  // the first option that libmongoc leaves out of account
  {
    const LogSink sink = [&](LogLevel level, std::string_view message) {
      if (ignored.empty()) ignored = unknown_option(message);
      if (options.log) options.log(level, message);
    };
    QuietLog log(sink);
    bson_error_t error{};
    target.uri.reset(mongoc_uri_new_with_error(text.c_str(), &error));
    if (!target.uri) {
      log.discard();
      refuse_uri(text);
    }
    check_hosts(target.uri.get());
    target.database = checked_database(target.uri.get());
    complete(target, options);
  }
  if (!ignored.empty()) {
    refuse("libmongoc knows no option '" + ignored +
           "' and would connect without it; correct it in the MongoDB URI or leave it out");
  }
  const mongoc_uri_t* uri = target.uri.get();
  target.addresses = host_list(uri, ", ");
  const char* scheme = mongoc_uri_get_srv_hostname(uri) ? "mongodb+srv://" : "mongodb://";
  target.display = scheme + host_list(uri, ",") + "/" + target.database;
  return target;
}

}  // namespace ptsecure::mongodb
