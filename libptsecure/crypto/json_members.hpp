#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "libptsecure/base/number.hpp"
#include "libptsecure/crypto/digest.hpp"

namespace ptsecure {

// The members of a JSON object that somebody else wrote. What is missing or ill-typed throws
// Status::corrupt, saying which member of what. The object must outlive this.
class JsonMembers {
 public:
  // `what` as a message begins with it: "the manifest". Refuses what is no object.
  JsonMembers(const nlohmann::json& value, std::string what);

  bool has(const char* name) const;
  const nlohmann::json& at(const char* name) const;
  const nlohmann::json& array(const char* name) const;
  const nlohmann::json& object(const char* name) const;
  const std::string& text(const char* name) const;
  std::vector<std::string> texts(const char* name) const;
  bool flag(const char* name) const;
  // A whole number from `least` to `most`.
  std::uint64_t number(const char* name, std::uint64_t least = 1,
                       std::uint64_t most = kMaxNumber) const;
  double real(const char* name) const;
  // A SHA-256 in base64url.
  Sha256Digest digest(const char* name) const;

  // The member "ptsecure", which every format of ours begins with. Status::unsupported for a newer
  // one than this library reads.
  void require_format(std::uint64_t newest) const;
  // There are these members and no others.
  void require_only(std::initializer_list<const char*> names) const;

  // Throws Status::corrupt: "`what` is malformed: " and why.
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  const nlohmann::json& object_;
  std::string what_;
};

}  // namespace ptsecure
