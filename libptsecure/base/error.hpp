#pragma once

#include <stdexcept>
#include <string>

namespace ptsecure {

// What went wrong, as a caller can act on it. The numbers are those of pts_status in ptsecure.h
// (capi checks that they are equal) and never change.
enum class Status : int {
  ok = 0,
  invalid_argument = 1,    // the call itself is wrong: bad name, bad option, NULL
  not_found = 2,           // no such store, model, version, alias or file
  already_exists = 3,      // the name or number is taken
  conflict = 4,            // another writer was faster; read again, then decide
  untrusted = 5,           // a signature is missing, wrong, or by a key not trusted for this
  corrupt = 6,             // stored bytes are damaged, incomplete, mixed up or malformed
  no_key = 7,              // the keyring holds no key that opens, signs or wraps this
  revoked = 8,             // the key record says disabled or destroyed
  rollback = 9,            // older than what is known to have existed
  permission_denied = 10,  // the system or the store refused access; a key file is too open
  unavailable = 11,        // the store cannot be reached
  timeout = 12,            // the time limit passed
  cancelled = 13,          // the caller cancelled
  io = 14,                 // reading or writing failed
  out_of_memory = 15,      // an allocation failed
  unsupported = 16,        // this build, device, format or algorithm is not supported
  invalid_model = 17,      // the file is not a model that the engine can load
  invalid_input = 18,      // inputs do not match what the model expects
  engine = 19,             // the engine could not be loaded, or the model failed while running
  limit_exceeded = 20,     // a size, depth or count is over a limit
  closed = 21,             // the handle is closed, or belongs to the process before a fork
  internal = 22,           // a defect in this library
  unauthenticated = 23,    // no API key, or none that is valid
  forbidden = 24,          // the API key is valid, but not for this
  rate_limited = 25,       // the API key is over its rate
};

// Lower-case name of a status, e.g. "not_found". Static storage.
const char* status_name(Status status) noexcept;

// The one way errors travel inside the library. The message is one sentence for a person: what was
// expected, what was found, what to do. It never holds a secret.
class [[gnu::visibility("default")]] Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const noexcept { return status_; }

 private:
  Status status_;
};

}  // namespace ptsecure
