#include "libptsecure/crypto/jwe_stream.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/jose.hpp"
#include "libptsecure/crypto/jwe_internal.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/strict_json.hpp"

namespace ptsecure {
namespace {

using jwe::ContentAlg;
using jwe::ContentStream;
using jwe::KeyAlg;
using jwe::Message;
using jwe::Recipient;
using jwe::Wrapping;

constexpr std::size_t kPiece = std::size_t{1} << 20;  // of text; a multiple of 4
constexpr std::size_t kLongString = 64 * 1024;        // of JSON: only the ciphertext is longer
constexpr std::size_t kMaxRest = std::size_t{1} << 20;
constexpr std::size_t kMaxCompactHead = 128 * 1024;
constexpr std::size_t kMaxCompactTail = 256;
constexpr std::uint32_t kMaxP2c = 1000000;
constexpr std::string_view kSpace = " \t\r\n";

// Where the ciphertext's base64url stands in the text.
struct Extent {
  std::uint64_t pos = 0;
  std::uint64_t size = 0;
};

// The JSON text with its one long string replaced, so that an ordinary parser can have it.
class LongStringCutter {
 public:
  explicit LongStringCutter(std::string replacement) : replacement_(std::move(replacement)) {}

  void take(std::string_view piece) {
    while (!piece.empty()) piece.remove_prefix(cutting_ ? skip(piece) : copy(piece));
    if (out_.size() > kMaxRest) {
      throw Error(Status::limit_exceeded,
                  "the JWE takes more than 1 MiB beside its ciphertext; it is none of a model");
    }
  }
  std::string finish() {
    if (in_string_) jose::malformed("a string doesn't end");
    return std::move(out_);
  }
  const std::optional<Extent>& cut() const { return cut_; }

 private:
  // Inside the long string: up to its end.
  std::size_t skip(std::string_view piece) {
    const std::size_t quote = piece.find('"');
    const std::size_t size = std::min(quote, piece.size());
    if (piece.substr(0, size).find('\\') != std::string_view::npos) {
      jose::malformed("its ciphertext holds an escape");
    }
    cut_->size += size;
    pos_ += size;
    if (quote != std::string_view::npos) cutting_ = false;
    return size;
  }
  // One character, which may begin or end a string or make it the long one.
  std::size_t copy(std::string_view piece) {
    const char c = piece[0];
    out_ += c;
    ++pos_;
    if (!in_string_) {
      if (c == '"') {
        in_string_ = true;
        begin_ = out_.size();
        begin_pos_ = pos_;
      }
    } else if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    } else if (out_.size() - begin_ > kLongString) {
      cut_out();
    }
    return 1;
  }
  void cut_out() {
    const std::string_view so_far = std::string_view(out_).substr(begin_);
    if (cut_ || so_far.find('\\') != std::string_view::npos) {
      jose::malformed("a string beside its ciphertext is longer than 64 KiB");
    }
    cut_ = Extent{begin_pos_, so_far.size()};
    out_.resize(begin_);
    out_ += replacement_;
    begin_ = out_.size();
    cutting_ = true;
  }

  std::string replacement_;
  std::string out_;
  std::optional<Extent> cut_;
  bool in_string_ = false;
  bool escaped_ = false;
  bool cutting_ = false;
  std::size_t begin_ = 0;
  std::uint64_t begin_pos_ = 0;
  std::uint64_t pos_ = 0;
};

[[noreturn]] void does_not_open() {
  throw Error(Status::corrupt,
              "the encrypted object does not open: it is damaged, or was made for another key");
}

const ContentAlg& content_alg(const nlohmann::json& header) {
  if (!jose::text_member(header, "zip").empty()) jwe::unsupported("zip", "; write it uncompressed");
  const ContentAlg* content = jwe::find_content_alg(jose::text_member(header, "enc"));
  if (content == nullptr) jwe::unsupported("enc");
  return *content;
}

// Nothing when the key doesn't open it.
std::optional<SecretBytes> content_key(const Recipient& recipient, const ContentAlg& content,
                                       const Jwk& key) {
  const KeyAlg* alg = jwe::find_key_alg(jose::text_member(recipient.header, "alg"));
  if (alg == nullptr) jwe::unsupported("alg");
  if (alg->wrapping != Wrapping::pbes2) {
    jwe::require_key(*alg, content, key, false);
    return jwe::unwrap_cek(*alg, content, recipient, {&key, {}, 0});
  }
  if (key.type() != KeyType::oct || (!key.alg().empty() && key.alg() != alg->name)) {
    throw Error(Status::no_key,
                "this JWE is encrypted with a passphrase: give it as an oct JWK (k = its bytes)");
  }
  return jwe::unwrap_cek(*alg, content, recipient, {nullptr, as_text(key.secret()), kMaxP2c});
}

}  // namespace

struct JweStream::State {
  State(std::uint64_t text_size_, Read read_) : text_size(text_size_), read(std::move(read_)) {
    std::string head(std::min<std::uint64_t>(text_size, kMaxCompactHead), '\0');
    if (!head.empty()) read(0, head.data(), head.size());
    const std::size_t start = head.find_first_not_of(kSpace);
    if (start == std::string::npos) jose::malformed("it is empty");
    if (head[start] == '{') {
      find_in_json();
    } else {
      find_in_compact(head);
    }
    if (in_text && in_text->size % 4 == 1) jose::malformed("its ciphertext has no such length");
  }

  void find_in_compact(const std::string& head) {
    std::size_t dot = std::string::npos;
    for (int i = 0; i < 3; ++i) {
      dot = head.find('.', dot + 1);
      if (dot == std::string::npos) jose::malformed("it has too few parts");
    }
    const std::uint64_t begin = dot + 1;
    std::string tail(std::min<std::uint64_t>(text_size - begin, kMaxCompactTail), '\0');
    const std::uint64_t tail_pos = text_size - tail.size();
    if (!tail.empty()) read(tail_pos, tail.data(), tail.size());
    tail.erase(tail.find_last_not_of(kSpace) + 1);
    const std::size_t last = tail.rfind('.');
    if (last == std::string::npos) jose::malformed("it has too few parts");
    in_text = Extent{begin, tail_pos + last - begin};
    message = jwe::parse_message(head.substr(0, begin) + tail.substr(last), false);
  }

  void find_in_json() {
    const std::string replacement = random_id() + random_id();  // nobody can have written it
    LongStringCutter cutter(replacement);
    std::string piece(kPiece, '\0');
    for (std::uint64_t pos = 0; pos < text_size;) {
      const std::size_t size = std::min<std::uint64_t>(kPiece, text_size - pos);
      read(pos, piece.data(), size);
      cutter.take(std::string_view(piece).substr(0, size));
      pos += size;
    }
    std::string rest = cutter.finish();
    in_text = cutter.cut();
    if (in_text) {
      const auto object = parse_strict_json(rest, jose::kMaxDepth);
      if (!object.is_object() || object.value("ciphertext", nlohmann::json()) != replacement) {
        jose::malformed("a string beside its ciphertext is longer than 64 KiB");
      }
      rest.erase(rest.find(replacement), replacement.size());
    }
    message = jwe::parse_message(rest, true);
  }

  std::uint64_t ciphertext_size() const {
    return in_text ? base64url_decoded_size(in_text->size) : message.ciphertext.size();
  }

  bool decrypt(ContentStream& content, const CancelToken& cancel) const {
    if (!in_text) {
      content.update(message.ciphertext);
      return content.finish(message.tag);
    }
    std::string piece(kPiece, '\0');
    for (std::uint64_t done = 0; done < in_text->size;) {
      cancel.check();
      const std::size_t size = std::min<std::uint64_t>(kPiece, in_text->size - done);
      read(in_text->pos + done, piece.data(), size);
      content.update(base64url_decode(std::string_view(piece).substr(0, size)));
      done += size;
    }
    return content.finish(message.tag);
  }

  std::uint64_t text_size;
  Read read;
  Message message;                // without a ciphertext that is long
  std::optional<Extent> in_text;  // where that is
};

JweStream::JweStream(std::uint64_t text_size, Read read)
    : state_(std::make_unique<State>(text_size, std::move(read))) {}
JweStream::JweStream(JweStream&&) noexcept = default;
JweStream::~JweStream() = default;

std::uint64_t JweStream::ciphertext_size() const noexcept {
  return state_->ciphertext_size();
}

std::size_t JweStream::decrypt(const Jwk& key, ByteSpan out, const CancelToken& cancel) const {
  const Message& message = state_->message;
  std::optional<Error> unfit;
  bool tried = false;
  try {
    for (const Recipient& recipient : message.recipients) {
      const std::string kid = jose::text_member(recipient.header, "kid");
      const bool several = message.recipients.size() > 1;
      if (several && !kid.empty() && !key.kid().empty() && kid != key.kid()) continue;
      std::optional<SecretBytes> cek;
      const ContentAlg& alg = content_alg(recipient.header);
      try {
        cek = content_key(recipient, alg, key);
      } catch (const Error& error) {
        if (error.status() != Status::unsupported && error.status() != Status::no_key) throw;
        if (!unfit) unfit = error;  // it may be meant for a key of another kind
        continue;
      }
      tried = true;
      if (cek) {
        ContentStream content(alg, cek->view(), message.iv, as_bytes(message.associated_data), out,
                              message.tag.size());
        if (state_->decrypt(content, cancel)) return content.size();
      }
      // One derivation is all that somebody who made the file gets.
      if (jose::text_member(recipient.header, "alg").starts_with("PBES2")) break;
    }
  } catch (...) {
    secure_zero(out.data(), out.size());
    throw;
  }
  secure_zero(out.data(), out.size());
  if (!tried && unfit) throw Error(*unfit);
  if (!tried) throw Error(Status::no_key, "no recipient of the encrypted object is this key");
  does_not_open();
}

}  // namespace ptsecure
