#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/error.hpp"
#include "libptsecure/protocol/v2_json.hpp"

// A request of any bytes is refused or read; what was read can be answered, and that answer, sent
// as a request, reads as the same.

using namespace ptsecure;

namespace {

std::vector<ValueSpec> signature() {
  std::vector<ValueSpec> specs;
  for (const auto& [name, kind] : {std::pair("x", ValueKind::tensor),
                                   {"i", ValueKind::integer},
                                   {"f", ValueKind::real},
                                   {"b", ValueKind::boolean},
                                   {"s", ValueKind::string},
                                   {"l", ValueKind::list},
                                   {"t", ValueKind::tuple},
                                   {"d", ValueKind::dict}}) {
    ValueSpec spec;
    spec.name = name;
    spec.kind = kind;
    spec.optional = true;
    specs.push_back(spec);
  }
  return specs;
}

std::string answer(const V2Request& request) {
  Dict result;
  result.items = request.inputs;
  return v2_response_json("m", "1", "", Value(std::move(result)), {});
}

std::string as_request(std::string_view response) {
  const std::size_t start = response.find("\"outputs\":") + 10;
  return "{\"inputs\":" + std::string(response.substr(start));
}

void check(std::string_view json, ByteView binary, const V2Limits& limits) {
  static const std::vector<ValueSpec> specs = signature();
  try {
    bind_inputs(specs, {}, parse_v2_request(json, specs, limits, binary).inputs);
  } catch (const Error&) {
  }
  std::string first;
  try {
    first = answer(parse_v2_request(json, {}, limits, binary));
  } catch (const Error&) {
    return;  // refused, or outputs that would clash
  }
  // Tensors that lie in the binary part hold the same.
  struct Owner : TensorOwner {};
  const V2Request borrowed = parse_v2_request(json, {}, limits, binary, std::make_shared<Owner>());
  if (answer(borrowed) != first) std::abort();
  V2Limits wide;
  wide.max_members = 1 << 20;
  if (answer(parse_v2_request(as_request(first), {}, wide)) != first) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  V2Limits limits;
  limits.max_bytes = 1 << 20;
  // What follows the first newline is the binary part.
  const std::size_t newline = as_text(input).find('\n');
  const std::size_t json_size = newline == std::string_view::npos ? size : newline;
  const ByteView binary =
      newline == std::string_view::npos ? ByteView() : input.subspan(newline + 1);
  check(as_text(input.first(json_size)), binary, limits);
  return 0;
}
