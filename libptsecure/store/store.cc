#include "libptsecure/store/store.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/text.hpp"
#include "libptsecure/store/component.hpp"
#include "libptsecure/store/gridfs.hpp"

#ifndef PTSECURE_WITH_MONGODB
#define PTSECURE_WITH_MONGODB 0
#endif

namespace ptsecure {
namespace {

constexpr std::string_view kAccepted =
    "a store is named by file:///path, by a plain path, by mongodb://host/database or by "
    "mongodb+srv://host/database";

// The scheme of "scheme:rest" in lower case, or nothing. Only what stands before "://" counts, or
// one of our own schemes before ":", so that plain paths may hold colons.
std::optional<std::string> scheme_of(std::string_view uri) {
  const std::size_t colon = uri.find(':');
  if (colon == std::string_view::npos || colon == 0 || !is_letter(uri[0])) return std::nullopt;
  const std::string_view scheme = uri.substr(0, colon);
  const bool plausible = std::all_of(scheme.begin(), scheme.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  });
  if (!plausible) return std::nullopt;
  std::string lower = lower_case(scheme);
  constexpr std::array<std::string_view, 3> kOurs = {"file", "mongodb", "mongodb+srv"};
  const bool ours = std::find(kOurs.begin(), kOurs.end(), lower) != kOurs.end();
  if (ours || uri.substr(colon + 1, 2) == "//") return lower;
  return std::nullopt;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const auto byte = parse_hex(text.substr(i + 1, 2));
    if (!byte || byte->empty()) {
      throw Error(Status::invalid_argument,
                  "a '%' in a file: URI must be followed by two hexadecimal digits; write a "
                  "percent sign itself as %25, or give the plain path");
    }
    out.push_back(static_cast<char>(byte->front()));
    i += 2;
  }
  return out;
}

std::string path_of_file_uri(std::string_view uri) {
  std::string_view rest = uri.substr(std::string_view("file:").size());
  if (rest.substr(0, 2) != "//") {
    throw Error(Status::invalid_argument, "a file: URI is written file:///absolute/path; '" +
                                              std::string(uri) + "' lacks the three slashes");
  }
  rest.remove_prefix(2);
  const std::size_t slash = rest.find('/');
  const std::string host = lower_case(rest.substr(0, slash));
  if (slash == std::string_view::npos || (!host.empty() && host != "localhost")) {
    throw Error(Status::invalid_argument,
                "a file: URI names an absolute path on this machine, file:///path; '" +
                    std::string(uri) + "' names the host '" + host + "'");
  }
  rest.remove_prefix(slash);
  if (rest.find_first_of("?#") != std::string_view::npos) {
    throw Error(Status::invalid_argument,
                "a file: URI takes no query or fragment; write '?' as %3F and '#' as %23 where "
                "they belong to the path");
  }
  return percent_decode(rest);
}

#if !PTSECURE_WITH_MONGODB
[[noreturn]] void no_mongodb() {
  throw Error(Status::unsupported,
              "this build has no MongoDB in it; build it with -DPTSECURE_MONGODB=ON (it needs "
              "libmongoc-dev)");
}
#endif

}  // namespace

bool is_component(std::string_view text) noexcept {
  if (text.empty() || text.size() > kMaxComponentSize || text[0] == '.') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
  });
}

void check_component(std::string_view text, std::string_view what) {
  if (is_component(text)) return;
  throw Error(Status::invalid_argument,
              "a " + std::string(what) +
                  " has 1 to 128 letters, digits, '.', '_' or '-' and doesn't begin with a dot; '" +
                  printable_name(text) + "' is none");
}

std::string version_text(std::string_view name, std::uint64_t version) {
  return std::string(name) + "/" + std::to_string(version);
}

void check_stored_text(std::string_view text, std::string_view what) {
  if (text.empty()) {
    throw Error(Status::invalid_argument, "an empty " + std::string(what) + " can't be stored");
  }
  if (text.size() > kMaxStoredText) {
    throw Error(Status::limit_exceeded,
                "a " + std::string(what) + " of " + std::to_string(text.size()) +
                    " bytes is larger than a store takes (" + std::to_string(kMaxStoredText) + ")");
  }
}

std::shared_ptr<Store> open_store(const std::string& uri, const StoreOptions& options) {
  if (uri.empty()) {
    throw Error(Status::invalid_argument, "no store was named; " + std::string(kAccepted));
  }
  const std::optional<std::string> scheme = scheme_of(uri);
  if (!scheme) return open_directory_store(uri, options);
  if (*scheme == "file") return open_directory_store(path_of_file_uri(uri), options);
  if (*scheme == "mongodb" || *scheme == "mongodb+srv") {
#if PTSECURE_WITH_MONGODB
    return open_mongodb_store(uri, options);
#else
    no_mongodb();
#endif
  }
  // The rest of the URI may hold a password.
  throw Error(Status::invalid_argument,
              "the scheme '" + *scheme + "' is not known; " + std::string(kAccepted));
}

#if !PTSECURE_WITH_MONGODB
std::unique_ptr<GridfsFile> open_gridfs_file(const GridfsName&, const StoreOptions&,
                                             const CancelToken&) {
  no_mongodb();
}
#endif

}  // namespace ptsecure
