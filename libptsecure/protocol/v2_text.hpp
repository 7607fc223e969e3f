#pragma once

#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "libptsecure/base/error.hpp"
#include "libptsecure/value/value.hpp"

// Internal to the readers of JSON requests and the writers of their answers.
namespace ptsecure {

[[noreturn]] inline void refuse(const std::string& what) {
  throw Error(Status::invalid_input, what);
}

// The place in the text that the parser reads from. Shared with it, so that a handler can take a
// piece of the text out of its way.
struct Cursor {
  const char* begin;
  const char* at;
  const char* end;
};

class CursorIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  CursorIterator() = default;
  explicit CursorIterator(Cursor& cursor) : cursor_(&cursor) {}

  char operator*() const { return *cursor_->at; }
  CursorIterator& operator++() {
    ++cursor_->at;
    return *this;
  }
  CursorIterator operator++(int) {
    const CursorIterator before = *this;
    ++*this;
    return before;
  }
  // Compared with the end only.
  bool operator==(const CursorIterator&) const { return cursor_->at == cursor_->end; }
  bool operator!=(const CursorIterator&) const { return cursor_->at != cursor_->end; }

 private:
  Cursor* cursor_ = nullptr;
};

template <class Handler>
void parse_json(Cursor& cursor, Handler& handler, bool strict) {
  nlohmann::json::sax_parse(CursorIterator(cursor), CursorIterator(), &handler,
                            nlohmann::json::input_format_t::json, strict);
}

// Appends the elements of a tensor, row-major, with commas between them.
void append_tensor_data(std::string& out, const Tensor& tensor);
// Appends text as a JSON string. Status::unsupported when it is not UTF-8.
void append_text(std::string& out, std::string_view text);

}  // namespace ptsecure
