#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/base/error.hpp"
#include "libptsecure/protocol/v1_json.hpp"

// A V1 request of any bytes is refused or read; what was read of the only input can be answered,
// and that answer, sent as a request, reads as the same.

using namespace ptsecure;

namespace {

ValueSpec spec(const char* name, ValueKind kind, DType dtype) {
  ValueSpec out;
  out.name = name;
  out.kind = kind;
  if (kind == ValueKind::tensor) out.dtype = dtype;
  return out;
}

const std::vector<ValueSpec> kOne = {spec("x", ValueKind::tensor, DType::float64)};
const std::vector<ValueSpec> kMany = {spec("x", ValueKind::tensor, DType::float32),
                                      spec("n", ValueKind::tensor, DType::int64),
                                      spec("s", ValueKind::string, DType::uint8)};

std::string answer(const V1Request& request) {
  return v1_response(request.inputs.at(0).second, {}, request.rows);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(ByteView(data, size));
  V2Limits limits;
  limits.max_bytes = 1 << 20;
  try {
    parse_v1_request(text, kMany, limits);
  } catch (const Error&) {
  }
  std::string first;
  try {
    const V1Request request = parse_v1_request(text, kOne, limits);
    if (request.inputs.empty()) return 0;
    first = answer(request);
  } catch (const Error&) {
    return 0;
  }
  constexpr std::string_view kPredictions = "{\"predictions\":";
  const std::string again = "{\"inputs\":" + first.substr(kPredictions.size());
  V2Limits wide;
  if (answer(parse_v1_request(again, kOne, wide)) != first) std::abort();
  return 0;
}
