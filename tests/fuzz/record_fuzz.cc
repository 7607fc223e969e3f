#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "libptsecure/base/error.hpp"
#include "libptsecure/history/announce.hpp"
#include "libptsecure/history/bodies.hpp"

// The payload of a record of any bytes, and the bodies that it may hold, are refused or read; what
// was read is written and read again as the same.

using namespace ptsecure;

namespace {

template <class Body>
void read_body(const ChainRecord& record) {
  Body body;
  try {
    body = Body::from_record(record);
  } catch (const Error&) {
    return;
  }
  ChainRecord again = record;
  again.body = body.to_json();
  if (Body::from_record(again).to_json() != again.body) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ChainRecord record;
  try {
    record = decode_record(as_text({data, size}), "the record");
  } catch (const Error&) {
    return 0;
  }
  const std::string written = encode_record(record);
  if (encode_record(decode_record(written, "the record")) != written) std::abort();
  read_body<AliasBody>(record);
  read_body<KeyBody>(record);
  read_body<LogBody>(record);
  return 0;
}
