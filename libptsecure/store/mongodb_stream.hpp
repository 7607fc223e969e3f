#pragma once

#include <mongoc/mongoc.h>

#include <chrono>

#include "libptsecure/cancel.hpp"

namespace ptsecure::mongodb {

using Clock = std::chrono::steady_clock;

// What every wait on a client's sockets looks at, several times a second. Belongs to one client and
// so to one thread at a time.
struct Watch {
  CancelToken cancel;
  Clock::time_point deadline = Clock::time_point::max();
  bool cancelled = false;  // a wait ended because of `cancel`
  bool expired = false;    // a wait ended because a time limit passed
  int connect_error = 0;   // errno of the last connection that failed

  void begin(const CancelToken& token, Clock::time_point until) {
    cancel = token;
    deadline = until;
    cancelled = expired = false;
  }
};

// A mongoc_stream_initiator_t: connects over TCP or a Unix socket, TLS on top where the URI asks for
// it. `watch` is the client's Watch. The stream waits in short slices, so that a stalled server, in
// a handshake too, holds nobody longer than the Watch allows.
mongoc_stream_t* open_stream(const mongoc_uri_t* uri, const mongoc_host_list_t* host, void* watch,
                             bson_error_t* error);

}  // namespace ptsecure::mongodb
