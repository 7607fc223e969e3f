#include "libptsecure/crypto/json_members.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libptsecure/base/error.hpp"

namespace ptsecure {
namespace {

using nlohmann::json;

// For messages.
std::string bound(std::uint64_t number) {
  return number == kMaxNumber ? "2^53-1" : std::to_string(number);
}

}  // namespace

JsonMembers::JsonMembers(const json& value, std::string what)
    : object_(value), what_(std::move(what)) {
  if (!object_.is_object()) refuse("it must be a JSON object");
}

void JsonMembers::refuse(const std::string& why) const {
  throw Error(Status::corrupt, what_ + " is malformed: " + why);
}

bool JsonMembers::has(const char* name) const {
  return object_.contains(name);
}

const json& JsonMembers::at(const char* name) const {
  const auto found = object_.find(name);
  if (found == object_.end()) refuse(std::string("the member ") + name + " is missing");
  return *found;
}

const json& JsonMembers::array(const char* name) const {
  const json& value = at(name);
  if (!value.is_array()) refuse(std::string(name) + " must be an array");
  return value;
}

const json& JsonMembers::object(const char* name) const {
  const json& value = at(name);
  if (!value.is_object()) refuse(std::string(name) + " must be an object");
  return value;
}

const std::string& JsonMembers::text(const char* name) const {
  const json& value = at(name);
  if (!value.is_string()) refuse(std::string(name) + " must be a string");
  return value.get_ref<const std::string&>();
}

std::vector<std::string> JsonMembers::texts(const char* name) const {
  const json& value = array(name);
  if (!std::all_of(value.begin(), value.end(), [](const json& j) { return j.is_string(); })) {
    refuse(std::string(name) + " must be an array of strings");
  }
  return value.get<std::vector<std::string>>();
}

bool JsonMembers::flag(const char* name) const {
  const json& value = at(name);
  if (!value.is_boolean()) refuse(std::string(name) + " must be true or false");
  return value.get<bool>();
}

std::uint64_t JsonMembers::number(const char* name, std::uint64_t least, std::uint64_t most) const {
  const json& value = at(name);
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number >= least && number <= most) return number;
  }
  refuse(std::string(name) + " must be a whole number from " + bound(least) + " to " + bound(most));
}

double JsonMembers::real(const char* name) const {
  const json& value = at(name);
  if (!value.is_number()) refuse(std::string(name) + " must be a number");
  return value.get<double>();
}

Sha256Digest JsonMembers::digest(const char* name) const {
  const auto digest = digest_from_base64url(text(name));
  if (!digest) refuse(std::string(name) + " must be a SHA-256 in base64url");
  return *digest;
}

void JsonMembers::require_format(std::uint64_t newest) const {
  const std::uint64_t format = number("ptsecure");
  if (format <= newest) return;
  throw Error(Status::unsupported, what_ + " has format version " + std::to_string(format) +
                                       " and this library reads versions up to " +
                                       std::to_string(newest) + ": update it");
}

void JsonMembers::require_only(std::initializer_list<const char*> names) const {
  bool exact = object_.size() == names.size();
  for (const char* name : names) exact = exact && has(name);
  if (!exact) refuse("it has other members than it must");
}

}  // namespace ptsecure
