#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/secret_json.hpp"
#include "libptsecure/crypto/strict_json.hpp"

// Both parsers accept the same texts, and what they accept survives being written.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ptsecure;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  bool plain = false;
  bool secret = false;
  try {
    const nlohmann::json parsed = parse_strict_json(text);
    plain = true;
    if (parse_strict_json(parsed.dump()) != parsed) std::abort();
  } catch (const Error&) {
    if (plain) std::abort();
  }
  try {
    parse_secret_json(text);
    secret = true;
  } catch (const Error&) {
  }
  if (plain != secret) std::abort();
  return 0;
}
