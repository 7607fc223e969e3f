#pragma once

#include <string_view>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/jwk.hpp"

namespace ptsecure {

// The bare signature and its check, without what a JWS surrounds them with.
Bytes jws_signature(std::string_view alg_name, const Jwk& key, ByteView input);
bool jws_signature_holds(std::string_view alg_name, const Jwk& key, ByteView input,
                         ByteView signature);

}  // namespace ptsecure
