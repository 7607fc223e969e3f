#pragma once

#include <string>
#include <vector>

#include "libptsecure/registry/resolve.hpp"

namespace ptsecure {

// The versions, as "name/7", whose verified manifests list a payload that was sealed for this one
// and whose own key isn't destroyed: those that share its program. What the keyring doesn't trust
// counts for nothing: else whoever can write to the store could keep a leaked key from being
// destroyed. Reads every manifest of the store.
std::vector<std::string> dependents(const Access& access, const Manifest& manifest);

// Throws Status::conflict naming them, unless there are none: what they need must not be destroyed
// or removed.
void require_no_dependents(const Access& access, const Manifest& manifest);

}  // namespace ptsecure
