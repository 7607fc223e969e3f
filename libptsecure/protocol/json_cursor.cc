#include "libptsecure/protocol/json_cursor.hpp"

#include "libptsecure/base/error.hpp"

namespace ptsecure {
namespace {

std::string at_byte(std::size_t position) {
  return "at byte " + std::to_string(position);
}

}  // namespace

JsonCursor::JsonCursor(std::string_view text, std::size_t body_size)
    : begin_(text.data()), at_(begin_), end_(begin_ + text.size()), body_size_(body_size) {
  const std::size_t nul = text.find('\0');
  if (nul != std::string_view::npos) {
    throw Error(Status::invalid_input, "the request is not valid JSON: it holds a NUL byte, " +
                                           at_byte(nul + 1) + size_note());
  }
}

JsonCursor JsonCursor::again(std::string_view array) const {
  JsonCursor cursor = *this;
  cursor.at_ = array.data() + 1;
  cursor.end_ = array.data() + array.size();
  return cursor;
}

char JsonCursor::peek() const {
  const char* at = json_number::skip_space(at_, end_);
  return at != end_ ? *at : '\0';
}

void JsonCursor::refuse(const nlohmann::detail::exception& error) const {
  constexpr int kNumberOutOfRange = 406;
  const std::string where = at_byte(static_cast<std::size_t>(at_ - begin_));
  std::string what;
  if (error.id == kNumberOutOfRange)
    what = "the request has a number that is too large " + where;
  else if (ended_)
    what = "the request is not valid JSON " + where + ", behind its closing brace" + size_note();
  else if (wanted_more_)
    what = "the request is not valid JSON: it ends early, " + where + size_note();
  else
    what = "the request is not valid JSON " + where + size_note();
  throw Error(Status::invalid_input, what);
}

std::string JsonCursor::size_note() const {
  const auto size = static_cast<std::size_t>(end_ - begin_);
  if (size == body_size_) return {};
  return "; the JSON's size (Inference-Header-Content-Length) was given as " +
         std::to_string(size) + " of the body's " + std::to_string(body_size_) + " bytes";
}

}  // namespace ptsecure
