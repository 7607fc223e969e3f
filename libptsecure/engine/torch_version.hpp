#pragma once

#include <cstdint>
#include <string>

namespace ptsecure {

// "2.15.0", from what aoti_torch_abi_version() says: a byte each for major, minor and patch from
// the top (torch/headeronly/version.h).
inline std::string torch_version(std::uint64_t abi) {
  const auto part = [abi](int shift) { return std::to_string((abi >> shift) & 0xff); };
  return part(56) + "." + part(48) + "." + part(40);
}

}  // namespace ptsecure
