#pragma once

#include <string>

#include "libptsecure/base/bytes.hpp"

namespace ptsecure {

// Fills from OpenSSL's generator, which reseeds itself in a forked child. Throws Status::internal
// when the generator fails.
void random_bytes(ByteSpan out);

// 128 random bits as base64url (22 characters).
std::string random_id();

// So many random bytes as lower-case hex.
std::string random_hex(std::size_t bytes);

}  // namespace ptsecure
