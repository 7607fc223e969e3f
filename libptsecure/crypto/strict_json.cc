#include "libptsecure/crypto/strict_json.hpp"

#include "libptsecure/crypto/strict_json_impl.hpp"

namespace ptsecure {

nlohmann::json parse_strict_json(std::string_view text, int max_depth) {
  return parse_strictly<nlohmann::json>(text.begin(), text.end(), text, max_depth);
}

}  // namespace ptsecure
