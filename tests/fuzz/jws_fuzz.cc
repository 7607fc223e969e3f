#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libptsecure/base/error.hpp"
#include "libptsecure/crypto/jws.hpp"

// Nothing is accepted but what the corpus' key signed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ptsecure;
  static const Jwk key = Jwk::parse(std::string_view(
      R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})"));
  const std::string_view text = as_text({data, size});
  try {
    jws_header(text);
    jws_payload_unverified(text);
  } catch (const Error&) {
  }
  try {
    if (as_text(jws_verify(text, key, "t")) != "payload") std::abort();
  } catch (const Error&) {
  }
  return 0;
}
