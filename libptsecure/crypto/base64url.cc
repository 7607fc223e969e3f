#include "libptsecure/crypto/base64url.hpp"

#include "libptsecure/base/error.hpp"

namespace ptsecure {

namespace {

// Both maps by arithmetic on the sign of differences, so that time doesn't depend on the content.
constexpr int when_negative(int difference, int value) {
  return (difference >> 8) & value;
}

constexpr char encode6(int v) {
  int c = v + 'A';
  c += when_negative(25 - v, 'a' - 'A' - 26);
  c += when_negative(51 - v, '0' - 'a' - 26);
  c += when_negative(61 - v, '-' - '0' - 10);
  c += when_negative(62 - v, '_' - '-' - 1);
  return static_cast<char>(c);
}

// -1 for characters outside the alphabet.
constexpr int decode6(int c) {
  int v = -1;
  v += when_negative(('A' - 1 - c) & (c - 'Z' - 1), c - 'A' + 1);
  v += when_negative(('a' - 1 - c) & (c - 'z' - 1), c - 'a' + 27);
  v += when_negative(('0' - 1 - c) & (c - '9' - 1), c - '0' + 53);
  v += when_negative(('-' - 1 - c) & (c - '-' - 1), 63);
  v += when_negative(('_' - 1 - c) & (c - '_' - 1), 64);
  return v;
}
static_assert(encode6(0) == 'A' && encode6(26) == 'a' && encode6(52) == '0');
static_assert(encode6(62) == '-' && encode6(63) == '_' && decode6('=') == -1 && decode6(0) == -1);

void encode_to(ByteView in, char* out) {
  std::size_t i = 0;
  for (; i + 3 <= in.size(); i += 3) {
    const int v = in[i] << 16 | in[i + 1] << 8 | in[i + 2];
    *out++ = encode6(v >> 18);
    *out++ = encode6(v >> 12 & 63);
    *out++ = encode6(v >> 6 & 63);
    *out++ = encode6(v & 63);
  }
  const std::size_t rest = in.size() - i;
  if (rest == 0) return;
  const int v = in[i] << 8 | (rest == 2 ? in[i + 1] : 0);
  *out++ = encode6(v >> 10);
  *out++ = encode6(v >> 4 & 63);
  if (rest == 2) *out++ = encode6(v << 2 & 63);
}

std::size_t encoded_size(std::size_t n) {
  return n / 3 * 4 + (n % 3 == 0 ? 0 : n % 3 + 1);
}

// Negative when anything was wrong; `out` has base64url_decoded_size bytes.
int decode_to(std::string_view in, std::uint8_t* out) {
  const auto at = [&](std::size_t i) { return decode6(static_cast<unsigned char>(in[i])); };
  int wrong = 0;
  std::size_t i = 0;
  for (; i + 4 <= in.size(); i += 4) {
    const int a = at(i), b = at(i + 1), c = at(i + 2), d = at(i + 3);
    wrong |= a | b | c | d;
    *out++ = static_cast<std::uint8_t>((a << 2 | b >> 4) & 255);
    *out++ = static_cast<std::uint8_t>((b << 4 | c >> 2) & 255);
    *out++ = static_cast<std::uint8_t>((c << 6 | d) & 255);
  }
  const std::size_t rest = in.size() - i;
  if (rest == 0) return wrong;
  const int a = at(i), b = at(i + 1), c = rest == 3 ? at(i + 2) : 0;
  const int unused = rest == 3 ? c & 3 : b & 15;
  wrong |= a | b | c | -unused;
  *out++ = static_cast<std::uint8_t>((a << 2 | b >> 4) & 255);
  if (rest == 3) *out++ = static_cast<std::uint8_t>((b << 4 | c >> 2) & 255);
  return wrong;
}

[[noreturn]] void refuse_text() {
  throw Error(Status::corrupt,
              "expected base64url text without padding, found something else: the text is damaged "
              "or was written in another encoding");
}

template <typename Buffer>
Buffer decode(std::string_view text) {
  if (text.size() % 4 == 1) refuse_text();
  Buffer out(base64url_decoded_size(text.size()));
  if (decode_to(text, out.data()) < 0) refuse_text();
  return out;
}

}  // namespace

std::string base64url_encode(ByteView bytes) {
  std::string out(encoded_size(bytes.size()), '\0');
  encode_to(bytes, out.data());
  return out;
}

SecretString base64url_encode_secret(ByteView bytes) {
  SecretString out;
  out.reserve(64);  // never the string's own small buffer
  out.resize(encoded_size(bytes.size()));
  encode_to(bytes, out.data());
  return out;
}

Bytes base64url_decode(std::string_view text) {
  return decode<Bytes>(text);
}

SecretBytes base64url_decode_secret(std::string_view text) {
  return decode<SecretBytes>(text);
}

}  // namespace ptsecure
