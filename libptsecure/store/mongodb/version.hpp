#pragma once

#include <string>

namespace ptsecure {

// Of the libmongoc in use, e.g. "1.23.1"; while none is, of the one this was built with. Only where
// the MongoDB store is built.
std::string mongodb_driver_version();

}  // namespace ptsecure
