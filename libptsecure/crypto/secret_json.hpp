#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "libptsecure/crypto/secret_json_fwd.hpp"

namespace ptsecure {

// Parses JSON that holds secrets; also the parser's own buffers are secret memory. Strict as
// parse_strict_json. The error never quotes the text.
SecretJson parse_secret_json(std::string_view text);

}  // namespace ptsecure
