#pragma once

#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

// Internal to the readers of JSON requests.
namespace ptsecure {

// The place in the text of a request that nlohmann/json's parser reads from. The handlers of its
// events share it, so that they can take an array, or the numbers in one, out of the parser's way.
class JsonCursor {
 public:
  // `body_size`: of the body that begins with the text. Status::invalid_input for a NUL, which the
  // parser would take for the end.
  JsonCursor(std::string_view text, std::size_t body_size);
  explicit JsonCursor(std::string_view text) : JsonCursor(text, text.size()) {}

  // The whole text, which must be one value.
  template <class Handler>
  void parse(Handler& handler) {
    at_ = begin_;
    ended_ = wanted_more_ = false;
    parse(handler, true);
  }

  // The rest is for handlers in start_array(), where the cursor stands behind the bracket.

  // The array goes to a handler of its own; the parser finds an empty one. Returns its text.
  template <class Handler>
  std::string_view take_array(Handler& handler) {
    const char* const first = --at_;
    parse(handler, false);
    const char* const end = at_--;
    return {first, static_cast<std::size_t>(end - first)};
  }

  // Calls take(begin, end) for the numbers that the array begins with, until it refuses one or
  // something else comes. What is left is an array in JSON's grammar if and only if the whole was.
  template <class Take>
  void take_numbers(Take take);

  // A cursor that stands behind the bracket of an array that take_array() gave.
  JsonCursor again(std::string_view array) const;
  // The next character that is no space; NUL when there is none.
  char peek() const;
  // Characters that are still to come.
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

  // Handlers say so when the outermost value has ended.
  void document_ended() { ended_ = true; }
  // Says what the parser found wrong, and where.
  [[noreturn]] void refuse(const nlohmann::detail::exception& error) const;
  // For messages: how much of the body was said to be JSON, where that is not all.
  std::string size_note() const;

 private:
  class Iterator;

  template <class Handler>
  void parse(Handler& handler, bool strict);

  const char* begin_;
  const char* at_;
  const char* end_;
  std::size_t body_size_;
  bool ended_ = false;
  bool wanted_more_ = false;  // the parser asked for a character behind the last
};

class JsonCursor::Iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  Iterator() = default;  // the end
  explicit Iterator(JsonCursor& cursor) : cursor_(&cursor) {}

  char operator*() const { return *cursor_->at_; }
  Iterator& operator++() {
    ++cursor_->at_;
    return *this;
  }
  Iterator operator++(int) {
    const Iterator before = *this;
    ++*this;
    return before;
  }
  // The parser compares with the end alone, and before each character that it wants.
  bool operator==(const Iterator&) const {
    if (cursor_->at_ != cursor_->end_) return false;
    cursor_->wanted_more_ = true;
    return true;
  }
  bool operator!=(const Iterator& other) const { return !(*this == other); }

 private:
  JsonCursor* cursor_ = nullptr;
};

template <class Handler>
void JsonCursor::parse(Handler& handler, bool strict) {
  nlohmann::json::sax_parse(Iterator(*this), Iterator(), &handler,
                            nlohmann::json::input_format_t::json, strict);
}

// What the handlers have in common.
class JsonHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit JsonHandler(JsonCursor& cursor) : cursor_(cursor) {}

  bool binary(nlohmann::json::binary_t&) final { return false; }  // of other formats
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) final {
    cursor_.refuse(error);
  }

 protected:
  JsonCursor& cursor_;
};

// The grammar of numbers is JSON's: std::from_chars alone takes "1.", "01" and "inf".
namespace json_number {

inline bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

inline const char* skip_space(const char* at, const char* end) noexcept {
  while (at != end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  return at;
}

inline const char* skip_digits(const char* at, const char* end) noexcept {
  while (at != end && is_digit(*at)) ++at;
  return at;
}

// The end of the number at `at`, or nullptr when none stands there.
inline const char* end_of(const char* at, const char* end) noexcept {
  if (at != end && *at == '-') ++at;
  const char* whole = skip_digits(at, end);
  if (whole == at || (*at == '0' && whole - at > 1)) return nullptr;
  at = whole;
  if (at != end && *at == '.') {
    const char* fraction = skip_digits(at + 1, end);
    if (fraction == at + 1) return nullptr;
    at = fraction;
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    ++at;
    if (at != end && (*at == '+' || *at == '-')) ++at;
    const char* exponent = skip_digits(at, end);
    if (exponent == at) return nullptr;
    at = exponent;
  }
  return at;
}

}  // namespace json_number

template <class Take>
void JsonCursor::take_numbers(Take take) {
  using namespace json_number;
  const char* const end = end_;
  for (bool last = false; !last;) {
    const char* at = at_ = skip_space(at_, end);
    const char* number = end_of(at, end);
    if (number == nullptr) return;
    // A number is taken only when what follows it is fine, too.
    const char* after = skip_space(number, end);
    if (after == end || (*after != ',' && *after != ']')) return;
    last = *after == ']';
    const char* next = last ? after : skip_space(after + 1, end);
    if (!last && (next == end || *next == ']')) return;
    if (!take(at, number)) return;
    at_ = next;
  }
}

}  // namespace ptsecure
