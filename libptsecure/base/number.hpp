#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ptsecure {

// Versions, sequences, sizes and whatever else is counted in our formats are at most this, which
// every reader of JSON holds exactly.
inline constexpr std::uint64_t kMaxNumber = (std::uint64_t{1} << 53) - 1;

// A number from 1 to kMaxNumber, in decimal, without sign or leading zeros; nullopt for anything
// else.
std::optional<std::uint64_t> parse_number(std::string_view text) noexcept;

}  // namespace ptsecure
