#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/jwe.hpp"

// Nothing opens but what was encrypted to the two keys.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ptsecure;
  static const Jwk keys[] = {
      Jwk::parse(std::string_view(R"({"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"})")),
      Jwk::parse(std::string_view(
          R"({"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",)"
          R"("y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",)"
          R"("d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"})"))};
  const std::string_view text = as_text({data, size});
  try {
    jwe_header(text);
  } catch (const Error&) {
  }
  for (const Jwk& key : keys) {
    for (const JwePolicy policy : {JwePolicy::key_document, JwePolicy::foreign}) {
      try {
        if (as_text(jwe_decrypt(text, key, policy).view()) != "Live long and prosper.")
          std::abort();
      } catch (const Error&) {
      }
    }
  }
  try {
    jwe_decrypt_password(text, "passphrase", 1000);
  } catch (const Error&) {
  }
  return 0;
}
