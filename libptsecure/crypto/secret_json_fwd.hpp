#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "libptsecure/crypto/secret.hpp"

namespace ptsecure {

// A JSON value whose names, strings and nodes live in secret memory.
using SecretJson = nlohmann::basic_json<std::map, std::vector, SecretString, bool, std::int64_t,
                                        std::uint64_t, double, SecretAllocator>;

}  // namespace ptsecure
