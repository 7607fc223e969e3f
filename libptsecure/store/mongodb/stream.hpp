#pragma once

#include <chrono>
#include <string>

#include "libptsecure/base/cancel.hpp"
#include "libptsecure/store/mongodb/driver.hpp"

namespace ptsecure::mongodb {

using Clock = std::chrono::steady_clock;

// What every wait on a client's sockets looks at, several times a second. Belongs to one client and
// so to one thread at a time.
struct Watch {
  CancelToken cancel;
  Clock::time_point deadline = Clock::time_point::max();
  bool cancelled = false;  // a wait ended because of `cancel`
  bool expired = false;    // a wait ended because a time limit passed
  std::string failure;     // why the last connection failed

  void begin(const CancelToken& token, Clock::time_point until) {
    cancel = token;
    deadline = until;
    cancelled = expired = false;
    failure.clear();
  }
};

// A mongoc_stream_initiator_t: connects over TCP or a Unix socket, TLS on top where the URI asks
// for it. `watch` is the client's Watch. The stream waits in short slices, so that a stalled
// server, in a handshake too, holds nobody longer than the Watch allows.
//
// Never returns nullptr: what can't be connected is a stream that fails at its first use, and
// Watch::failure says why. libmongoc 1.23 locks itself out for ever when an initiator fails while
// it looks again for a server that it has known (CDRIVER-4666).
mongoc_stream_t* open_stream(const mongoc_uri_t* uri, const mongoc_host_list_t* host, void* watch,
                             bson_error_t* error);

}  // namespace ptsecure::mongodb
