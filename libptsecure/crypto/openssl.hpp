#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>

#include <memory>
#include <string>

#include "libptsecure/base/error.hpp"

// Owners for OpenSSL's objects; inside crypto/ only.
namespace ptsecure {

template <auto Free>
struct OpensslFree {
  template <typename T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

using EvpPkey = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using EvpPkeyCtx = std::unique_ptr<EVP_PKEY_CTX, OpensslFree<EVP_PKEY_CTX_free>>;
using EvpCipherCtx = std::unique_ptr<EVP_CIPHER_CTX, OpensslFree<EVP_CIPHER_CTX_free>>;
using EvpMdCtx = std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>>;
using EvpMac = std::unique_ptr<EVP_MAC, OpensslFree<EVP_MAC_free>>;
using EvpMacCtx = std::unique_ptr<EVP_MAC_CTX, OpensslFree<EVP_MAC_CTX_free>>;
using EvpKdf = std::unique_ptr<EVP_KDF, OpensslFree<EVP_KDF_free>>;
using EvpKdfCtx = std::unique_ptr<EVP_KDF_CTX, OpensslFree<EVP_KDF_CTX_free>>;
using Bignum = std::unique_ptr<BIGNUM, OpensslFree<BN_clear_free>>;
using BnCtx = std::unique_ptr<BN_CTX, OpensslFree<BN_CTX_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, OpensslFree<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, OpensslFree<OSSL_PARAM_free>>;

// Takes away what a failed call left in OpenSSL's error queue, and only that: the queue belongs to
// the host's thread.
class OpensslErrors {
 public:
  OpensslErrors() noexcept { ERR_set_mark(); }
  ~OpensslErrors() { ERR_pop_to_mark(); }
  OpensslErrors(const OpensslErrors&) = delete;
  OpensslErrors& operator=(const OpensslErrors&) = delete;
};

// For calls that fail only when memory or a provider is missing.
inline void openssl_must(bool ok, const char* what) {
  if (!ok) throw Error(Status::internal, std::string("OpenSSL could not do ") + what);
}

// OSSL_PARAM takes non-const pointers that it only reads.
inline void* openssl_in(const void* data) noexcept {
  return const_cast<void*>(data);
}

}  // namespace ptsecure
