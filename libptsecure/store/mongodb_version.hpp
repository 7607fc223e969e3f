#pragma once

namespace ptsecure {

// Of the libmongoc in use, e.g. "1.23.1". Static storage. Only where the MongoDB store is built.
const char* mongodb_driver_version() noexcept;

}  // namespace ptsecure
