#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ptsecure {

inline constexpr std::size_t kMaxComponentSize = 128;

// The largest text (manifest, record, wrapped keys) a store takes or hands out.
inline constexpr std::size_t kMaxStoredText = std::size_t{12} << 20;

// Names, key ids, blob roles and parts of chain ids as a store takes them:
// [A-Za-z0-9_-][A-Za-z0-9._-]{0,127}. The name rule, plus what base64url may begin with. Callers
// have checked theirs already; a store checks again where it makes a path or a query of them.
// Throws Status::invalid_argument naming `what`.
void check_component(std::string_view text, std::string_view what);
bool is_component(std::string_view text) noexcept;

// "digits/7": a version as people write it.
std::string version_text(std::string_view name, std::uint64_t version);

// Throws Status::invalid_argument for an empty text, Status::limit_exceeded for one over
// kMaxStoredText.
void check_stored_text(std::string_view text, std::string_view what);

}  // namespace ptsecure
