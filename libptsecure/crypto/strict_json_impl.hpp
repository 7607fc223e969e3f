#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/error.hpp"

namespace ptsecure {

[[noreturn]] inline void refuse_json(const std::string& why) {
  throw Error(Status::corrupt, "the JSON text is refused: " + why);
}

// Watches a parse for what nlohmann::json lets pass: names that occur twice, and deep nesting.
template <typename Json>
class JsonWatch {
 public:
  explicit JsonWatch(int max_depth) : max_depth_(max_depth) {}

  bool operator()(int depth, nlohmann::detail::parse_event_t event, Json& parsed) {
    using Event = nlohmann::detail::parse_event_t;
    if (depth >= max_depth_ && (event == Event::object_start || event == Event::array_start)) {
      refuse_json("it is nested more than " + std::to_string(max_depth_) + " levels deep");
    }
    if (event == Event::object_start) names_.emplace_back();
    if (event == Event::object_end) names_.pop_back();
    if (event == Event::key) {
      auto name = parsed.template get<typename Json::string_t>();
      if (!names_.back().insert(std::move(name)).second) refuse_json("a member occurs twice");
    }
    return true;
  }

 private:
  int max_depth_;
  std::vector<std::set<typename Json::string_t>> names_;
};

// The iterators' value type decides in which memory the parser keeps its current token.
template <typename Json, typename Iterator>
Json parse_strictly(Iterator first, Iterator last, std::string_view text, int max_depth) {
  if (text.starts_with("\xEF\xBB\xBF")) refuse_json("it starts with a byte order mark");
  // The parser would take one for the end of the text.
  if (text.find('\0') != std::string_view::npos) refuse_json("it holds a NUL byte");
  try {
    JsonWatch<Json> watch(max_depth);
    // By reference: the parser copies the callback it is given.
    const auto callback = [&watch](int depth, nlohmann::detail::parse_event_t event, Json& parsed) {
      return watch(depth, event, parsed);
    };
    return Json::parse(first, last, callback);
  } catch (const nlohmann::detail::parse_error& error) {
    refuse_json("it is malformed near byte " + std::to_string(error.byte));
  } catch (const nlohmann::detail::exception&) {
    refuse_json("a number is out of range");
  }
}

}  // namespace ptsecure
