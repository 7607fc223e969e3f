#pragma once

#include <string>
#include <vector>

#include "libptsecure/registry/resolve.hpp"

namespace ptsecure {

// The versions, as "name/7", whose manifests list a payload that was sealed for this one, and that
// somebody may still open: those that share its program. Manifests that the keyring doesn't trust
// count too, and are said to be such. Reads every manifest of the store.
std::vector<std::string> dependents(const Access& access, const Manifest& manifest);

// Throws Status::conflict naming them, unless there are none: what they need must not be destroyed
// or removed.
void require_no_dependents(const Access& access, const Manifest& manifest);

}  // namespace ptsecure
