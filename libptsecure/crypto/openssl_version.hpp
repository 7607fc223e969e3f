#pragma once

namespace ptsecure {

// Of the OpenSSL in use, e.g. "3.0.15". Static storage.
const char* openssl_version() noexcept;

}  // namespace ptsecure
