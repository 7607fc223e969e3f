#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "libptsecure/base/error.hpp"
#include "libptsecure/base/text.hpp"
#include "libptsecure/protocol/v2_json.hpp"

// Internal to the readers of JSON requests.
namespace ptsecure {

[[noreturn]] inline void refuse_request(const std::string& what) {
  throw Error(Status::invalid_input, what);
}

inline void check_json_depth(std::size_t depth, const V2Limits& limits) {
  if (depth <= limits.max_depth) return;
  throw Error(Status::limit_exceeded, "the request nests arrays and objects deeper than " +
                                          std::to_string(limits.max_depth));
}

// The arrays and objects around the place that is read, outermost first, each with what it is to
// the reader. Keeps the limits of nesting and of members, and refuses a member that comes twice.
template <class Place>
class JsonPath {
 public:
  JsonPath(const V2Limits& limits, Place document) : limits_(limits) {
    levels_.push_back({document, {}, {}});
  }

  // What the innermost one is; the document itself when there is none.
  Place place() const { return levels_.back().place; }
  // The latest member of the innermost one.
  const std::string& member() const { return levels_.back().member; }
  // How many there are.
  std::size_t depth() const { return levels_.size() - 1; }

  void enter(Place place) {
    check_json_depth(depth() + 1, limits_);
    levels_.push_back({place, {}, {}});
  }
  // What was left.
  Place leave() {
    const Place left = place();
    levels_.pop_back();
    return left;
  }

  void add_member(std::string& name) {
    Level& level = levels_.back();
    if (level.members.size() >= limits_.max_members) {
      throw Error(Status::limit_exceeded, "the request has more than " +
                                              std::to_string(limits_.max_members) +
                                              " members in one object");
    }
    if (!level.members.insert(name).second) refuse_twice(name);
    level.member = std::move(name);
  }
  [[noreturn]] static void refuse_twice(const std::string& name) {
    refuse_request("the request has the member `" + printable_name(name) + "` twice in one object");
  }

 private:
  struct Level {
    Place place;
    std::set<std::string> members;
    std::string member;
  };

  const V2Limits& limits_;
  std::vector<Level> levels_;
};

}  // namespace ptsecure
