#include "libptsecure/crypto/secret_json.hpp"

#include <iterator>

#include "libptsecure/crypto/secret.hpp"
#include "libptsecure/crypto/strict_json.hpp"
#include "libptsecure/crypto/strict_json_impl.hpp"

namespace ptsecure {
namespace {

// The parser collects the current token in a std::vector of the input's character type with the
// standard allocator. A character type of our own lets that allocator be ours.
enum class SecretChar : char {};

class SecretCharIterator {
 public:
  using value_type = SecretChar;
  using difference_type = std::ptrdiff_t;
  using pointer = const SecretChar*;
  using reference = SecretChar;
  using iterator_category = std::input_iterator_tag;

  explicit SecretCharIterator(const char* at) : at_(at) {}
  SecretChar operator*() const { return static_cast<SecretChar>(*at_); }
  SecretCharIterator& operator++() {
    ++at_;
    return *this;
  }
  SecretCharIterator operator++(int) { return SecretCharIterator(at_++); }
  bool operator==(const SecretCharIterator&) const = default;

 private:
  const char* at_;
};

}  // namespace
}  // namespace ptsecure

namespace std {

template <>
struct allocator<ptsecure::SecretChar> : ptsecure::SecretAllocator<ptsecure::SecretChar> {
  allocator() noexcept = default;
  template <typename U>
  allocator(const allocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)
};

template <>
struct char_traits<ptsecure::SecretChar> {
  using char_type = ptsecure::SecretChar;
  using int_type = int;
  static constexpr int eof() { return -1; }
  static constexpr int to_int_type(char_type c) { return static_cast<unsigned char>(c); }
  static constexpr char_type to_char_type(int c) { return static_cast<char_type>(c); }
  static constexpr bool eq_int_type(int a, int b) { return a == b; }
};

}  // namespace std

namespace ptsecure {

SecretJson parse_secret_json(std::string_view text) {
  const char* begin = text.data();
  return parse_strictly<SecretJson>(SecretCharIterator(begin),
                                    SecretCharIterator(begin + text.size()), text, kJsonMaxDepth);
}

}  // namespace ptsecure
