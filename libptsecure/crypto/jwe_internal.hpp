#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/bytes.hpp"
#include "libptsecure/crypto/jwe.hpp"
#include "libptsecure/crypto/jwk_impl.hpp"
#include "libptsecure/crypto/openssl.hpp"
#include "libptsecure/crypto/secret.hpp"

// The parts of JWE that its .cc files share.
namespace ptsecure::jwe {

enum class Wrapping { aes_kw, gcm_kw, rsa_oaep, ecdh_es, ecdh_es_kw, direct, pbes2 };

struct KeyAlg {
  const char* name;
  Wrapping wrapping;
  std::size_t kek_size;  // of the AES key that wraps; 0 where none does
  const char* digest;    // of OAEP or PBKDF2
  bool in_key_document;
};

struct ContentAlg {
  const char* name;
  std::size_t key_size;
  std::size_t iv_size;
  std::size_t tag_size;
  const char* digest;  // CBC with HMAC; nullptr for GCM
};

// nullptr for names that aren't on the list.
const KeyAlg* find_key_alg(std::string_view name) noexcept;
const ContentAlg* find_content_alg(std::string_view name) noexcept;

// The header's `member` names an algorithm that isn't on the list.
[[noreturn]] void unsupported(const char* member, const char* hint = "");

// jwe_parse.cc ------------------------------------------------------------------------------------

struct Recipient {
  nlohmann::json header;  // protected, shared and own members together
  Bytes encrypted_key;
};

struct Message {
  std::vector<Recipient> recipients;  // at least one
  std::string associated_data;
  Bytes iv;
  Bytes ciphertext;
  Bytes tag;
};

Message parse_message(std::string_view text, bool allow_json);

// jwe_keys.cc -------------------------------------------------------------------------------------

// Checks that the key can be used for the algorithm; throws Status::no_key. (Not for PBES2.)
void require_key(const KeyAlg& alg, const ContentAlg& content, const Jwk& key, bool to_encrypt);

// The CEK, of the right size and not all zero; nothing when the key doesn't open it. Throws only
// for what is malformed or over a limit. Exactly one of key and passphrase is used, by alg.
struct Credentials {
  const Jwk* key = nullptr;
  std::string_view passphrase;
  std::uint32_t max_p2c = 0;
};
std::optional<SecretBytes> unwrap_cek(const KeyAlg& alg, const ContentAlg& content,
                                      const Recipient& recipient, const Credentials& with);

// The x coordinate that two EC keys of one curve agree on.
SecretBytes ecdh(const Jwk& mine, const Jwk& theirs);

// Wraps a CEK and adds the header members that the algorithm needs.
Bytes wrap_cek(const KeyAlg& alg, ByteView cek, const Jwk& key, nlohmann::ordered_json& header);
Bytes wrap_cek_pbes2(const KeyAlg& alg, ByteView cek, std::string_view passphrase,
                     std::uint32_t p2c, nlohmann::ordered_json& header);

// jwe_content.cc ----------------------------------------------------------------------------------

struct Sealed {
  Bytes iv;
  Bytes ciphertext;
  Bytes tag;
};
Sealed encrypt_gcm(ByteView key, ByteView associated_data, ByteView plaintext);
std::optional<SecretBytes> decrypt_gcm(ByteView key, ByteView iv, ByteView associated_data,
                                       ByteView ciphertext, ByteView tag);
std::optional<SecretBytes> decrypt_content(const ContentAlg& alg, ByteView cek, ByteView iv,
                                           ByteView associated_data, ByteView ciphertext,
                                           ByteView tag);
// The same of content that arrives in pieces. What it has written is not to be used before finish()
// has said that the tag holds; the caller zeroes it else. One thread at a time.
class ContentStream {
 public:
  // `out` must be as long as the whole ciphertext. Throws Status::corrupt for sizes that the
  // algorithm doesn't allow.
  ContentStream(const ContentAlg& alg, ByteView cek, ByteView iv, ByteView associated_data,
                ByteSpan out, std::size_t tag_size);
  // At most 1 GiB at a time.
  void update(ByteView ciphertext);
  bool finish(ByteView tag);
  std::size_t size() const noexcept { return written_; }  // of the plaintext

 private:
  const ContentAlg& alg_;
  ByteSpan out_;
  std::uint64_t associated_bits_;
  std::size_t taken_ = 0;
  std::size_t written_ = 0;
  EvpCipherCtx cipher_;
  EvpMacCtx mac_;  // of CBC
};

// Raw DEFLATE; throws Status::limit_exceeded over 250 kB and ten times the input, or over
// kJweMaxInflated, and Status::corrupt for anything but one complete stream.
SecretBytes inflate_bounded(ByteView deflated);

}  // namespace ptsecure::jwe
