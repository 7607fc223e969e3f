#include "libptsecure/store/mongodb/stream.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ptsecure::mongodb {
namespace {

constexpr std::chrono::milliseconds kSlice{100};
// Any value that none of libmongoc's own streams has.
constexpr int kStreamType = 0x7074;

// The root of a stream stack: libmongoc sees it through the function table it begins with.
struct Socket {
  mongoc_stream_t table;
  int fd;
  int error;  // errno of the last operation
  Watch* watch;
};
static_assert(std::is_standard_layout_v<Socket> && offsetof(Socket, table) == 0);

Socket& self(mongoc_stream_t* stream) {
  return *reinterpret_cast<Socket*>(stream);
}

bool is_again(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == EINPROGRESS;
}

Clock::time_point expiry(std::int32_t timeout_msec) {
  if (timeout_msec < 0) return Clock::time_point::max();
  return Clock::now() + std::chrono::milliseconds(timeout_msec);
}

// The next slice to poll for, in ms; 0 with errno set when the wait is over.
int next_slice(Watch& watch, Clock::time_point until) {
  if (watch.cancel.cancelled()) {
    watch.cancelled = true;
    errno = ECANCELED;
    return 0;
  }
  const Clock::time_point now = Clock::now();
  until = std::min(until, watch.deadline);
  if (now >= until) {
    watch.expired = true;
    errno = ETIMEDOUT;
    return 0;
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now);
  return static_cast<int>(std::min(left, kSlice).count());
}

bool wait_for(Socket& socket, short events, Clock::time_point until) {
  for (;;) {
    const int slice = next_slice(*socket.watch, until);
    if (slice == 0) return false;
    pollfd item{socket.fd, events, 0};
    const int ready = ::poll(&item, 1, slice);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// Drops the first n bytes of iov[at...].
void advance(mongoc_iovec_t* iov, std::size_t count, std::size_t& at, std::size_t n) {
  while (at < count && n >= iov[at].iov_len) n -= iov[at++].iov_len;
  if (n > 0) {
    iov[at].iov_base = static_cast<char*>(iov[at].iov_base) + n;
    iov[at].iov_len -= n;
  }
}

msghdr message(mongoc_iovec_t* iov, std::size_t count) {
  msghdr header{};
  header.msg_iov = iov;
  header.msg_iovlen = std::min<std::size_t>(count, IOV_MAX);
  return header;
}

ssize_t fail(Socket& socket, int error) {
  socket.error = errno = error;
  return -1;
}

// Like libmongoc's own: fills iov, and returns early once min_bytes are there and no more are.
ssize_t socket_readv(mongoc_stream_t* stream, mongoc_iovec_t* iov, std::size_t count,
                     std::size_t min_bytes, std::int32_t timeout_msec) {
  Socket& socket = self(stream);
  socket.error = 0;
  const Clock::time_point until = expiry(timeout_msec);
  std::size_t at = 0;
  std::size_t total = 0;
  while (at < count) {
    msghdr header = message(iov + at, count - at);
    const ssize_t n = ::recvmsg(socket.fd, &header, MSG_DONTWAIT);
    if (n > 0) {
      total += static_cast<std::size_t>(n);
      advance(iov, count, at, static_cast<std::size_t>(n));
      if (total >= min_bytes && at < count) break;
      continue;
    }
    const int error = n == 0 ? ECONNRESET : errno;
    if (n < 0 && is_again(error)) {
      if (total > 0 && total >= min_bytes) break;
      if (timeout_msec == 0) return fail(socket, EAGAIN);
      if (!wait_for(socket, POLLIN, until)) return fail(socket, errno);
      continue;
    }
    if (n == 0 && total >= min_bytes) break;
    return fail(socket, error);
  }
  return static_cast<ssize_t>(total);
}

// Writes everything, unless the time limit is 0: then what the socket takes at once.
ssize_t socket_writev(mongoc_stream_t* stream, mongoc_iovec_t* given, std::size_t count,
                      std::int32_t timeout_msec) {
  Socket& socket = self(stream);
  socket.error = 0;
  const Clock::time_point until = expiry(timeout_msec);
  std::vector<mongoc_iovec_t> iov;
  try {
    iov.assign(given, given + count);  // the caller's must stay as they are: it may write again
  } catch (const std::bad_alloc&) {
    return fail(socket, ENOMEM);
  }
  std::size_t at = 0;
  std::size_t total = 0;
  while (at < count) {
    msghdr header = message(iov.data() + at, count - at);
    const ssize_t n = ::sendmsg(socket.fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      total += static_cast<std::size_t>(n);
      advance(iov.data(), count, at, static_cast<std::size_t>(n));
      continue;
    }
    if (!is_again(errno)) return fail(socket, errno);
    if (timeout_msec == 0) return total > 0 ? static_cast<ssize_t>(total) : fail(socket, EAGAIN);
    if (!wait_for(socket, POLLOUT, until)) return fail(socket, errno);
  }
  return static_cast<ssize_t>(total);
}

void note_failure(Watch& watch, std::string_view why) noexcept {
  try {
    watch.failure = why;
  } catch (const std::bad_alloc&) {  // the message is less precise
    watch.failure.clear();
  }
}

void note_errno(Watch& watch, int error) noexcept {
  note_failure(watch, std::strerror(error));
}

// A connection that failed to come about shows in SO_ERROR; reading it clears it.
int take_socket_error(const Socket& socket) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) note_errno(*socket.watch, error);
  return error;
}

// Ends every command that waits on these streams.
ssize_t fail_all(mongoc_stream_poll_t* streams, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) streams[i].revents = POLLERR;
  return static_cast<ssize_t>(count);
}

// Marks the streams that never got a connection.
ssize_t fail_unconnected(mongoc_stream_poll_t* streams, std::size_t count) {
  ssize_t failed = 0;
  for (std::size_t i = 0; i < count; ++i) {
    streams[i].revents = self(streams[i].stream).fd < 0 ? POLLERR : 0;
    if (streams[i].revents != 0) ++failed;
  }
  return failed;
}

// All streams are root streams of one client, so they share its Watch.
ssize_t socket_poll(mongoc_stream_poll_t* streams, std::size_t count, std::int32_t timeout_msec) {
  if (count == 0) return 0;
  if (const ssize_t failed = fail_unconnected(streams, count); failed > 0) return failed;
  Watch& watch = *self(streams[0].stream).watch;
  const Clock::time_point until = expiry(timeout_msec);
  std::vector<pollfd> items;
  try {
    for (std::size_t i = 0; i < count; ++i) {
      items.push_back({self(streams[i].stream).fd, static_cast<short>(streams[i].events), 0});
    }
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return -1;
  }
  for (;;) {
    const bool over = Clock::now() >= until;
    const int slice = over ? 0 : next_slice(watch, until);
    if (!over && slice == 0) return fail_all(streams, count);
    const int ready = ::poll(items.data(), items.size(), slice);
    if (ready < 0 && errno != EINTR) return -1;
    if (ready > 0) {
      for (std::size_t i = 0; i < count; ++i) {
        streams[i].revents = items[i].revents;
        if (items[i].revents & (POLLERR | POLLHUP)) take_socket_error(self(streams[i].stream));
      }
      return ready;
    }
    if (over) return 0;
  }
}

int socket_close(mongoc_stream_t* stream) {
  Socket& socket = self(stream);
  if (socket.fd >= 0) ::close(socket.fd);
  socket.fd = -1;
  return 0;
}

void socket_destroy(mongoc_stream_t* stream) {
  socket_close(stream);
  delete &self(stream);
}

bool socket_check_closed(mongoc_stream_t* stream) {
  char byte = 0;
  const ssize_t n = ::recv(self(stream).fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && !is_again(errno));
}

int socket_setsockopt(mongoc_stream_t* stream, int level, int name, void* value,
                      mongoc_socklen_t size) {
  return ::setsockopt(self(stream).fd, level, name, value, size);
}

Socket* new_socket(int fd, Watch& watch) {
  auto* socket = new (std::nothrow) Socket{};
  if (!socket) return nullptr;
  socket->fd = fd;
  socket->watch = &watch;
  mongoc_stream_t& table = socket->table;
  table.type = kStreamType;
  table.destroy = socket_destroy;
  table.failed = socket_destroy;
  table.close = socket_close;
  table.flush = [](mongoc_stream_t*) { return 0; };
  table.writev = socket_writev;
  table.readv = socket_readv;
  table.setsockopt = socket_setsockopt;
  table.check_closed = socket_check_closed;
  table.poll = socket_poll;
  table.timed_out = [](mongoc_stream_t* stream) { return self(stream).error == ETIMEDOUT; };
  table.should_retry = [](mongoc_stream_t* stream) { return is_again(self(stream).error); };
  return socket;
}

void set_tcp_options(int fd) {
  const int on = 1;
  const int idle = 120;
  const int interval = 10;
  const int probes = 9;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

// Begins a connection; -1 with Watch::failure set when it is refused at once.
int begin_connect(const sockaddr* address, socklen_t size, Watch& watch) {
  const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    if (address->sa_family != AF_UNIX) set_tcp_options(fd);
    if (::connect(fd, address, size) == 0 || errno == EINPROGRESS) return fd;
  }
  note_errno(watch, errno);
  if (fd >= 0) ::close(fd);
  return -1;
}

bool finish_connect(Socket& socket, Clock::time_point until) {
  if (wait_for(socket, POLLOUT, until)) return take_socket_error(socket) == 0;
  note_errno(*socket.watch, errno);
  socket.watch->expired = false;  // another address may answer
  return false;
}

void connect_unix(Socket& socket, const mongoc_host_list_t& host) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(host.host);
  if (length >= sizeof address.sun_path) {
    note_failure(*socket.watch, "the path of the Unix socket is too long");
    return;
  }
  std::memcpy(address.sun_path, host.host, length);
  socket.fd =
      begin_connect(reinterpret_cast<const sockaddr*>(&address), sizeof address, *socket.watch);
}

// Tries a host's addresses in turn. The last one is only begun: libmongoc waits for all servers of
// a replica set together.
void connect_tcp(Socket& socket, const mongoc_uri_t* uri, const mongoc_host_list_t& host) {
  addrinfo hints{};
  hints.ai_family = host.family;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::array<char, 16> port{};
  std::snprintf(port.data(), port.size(), "%u", unsigned{host.port});
  const int result = ::getaddrinfo(host.host, port.data(), &hints, &found);
  if (result != 0) {
    note_failure(*socket.watch, ::gai_strerror(result));
    return;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  std::int32_t count = 0;
  for (const addrinfo* item = found; item; item = item->ai_next) ++count;
  const std::int32_t share = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS,
                                                            MONGOC_DEFAULT_CONNECTTIMEOUTMS) /
                             count;
  for (const addrinfo* item = found; item; item = item->ai_next) {
    socket.fd = begin_connect(item->ai_addr, item->ai_addrlen, *socket.watch);
    if (socket.fd >= 0 && (!item->ai_next || finish_connect(socket, expiry(share)))) return;
    socket_close(&socket.table);
  }
}

// libmongoc keeps two TLS options in a struct of its own that mongoc_ssl_opt_t only points to.
struct InternalTlsOptions {
  bool no_revocation_check;
  bool no_ocsp_endpoint_check;
};

void* internal_tls_options(const mongoc_uri_t* uri) {
  static std::array<InternalTlsOptions, 4> all = {
      {{false, false}, {true, false}, {false, true}, {true, true}}};
  const bool no_revocation =
      mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSDISABLECERTIFICATEREVOCATIONCHECK, false);
  const bool no_endpoint =
      mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSDISABLEOCSPENDPOINTCHECK, false);
  return &all[(no_revocation ? 1U : 0U) + (no_endpoint ? 2U : 0U)];
}

// libmongoc leaves the handshake to whoever sets an initiator. It also checks the host name and
// revocation, so it must not be left to happen by itself at the first write.
bool shake_hands(mongoc_stream_t* tls, Socket& socket, const mongoc_host_list_t& host,
                 Clock::time_point until) {
  bson_error_t error{};
  for (;;) {
    int events = 0;
    if (mongoc_stream_tls_handshake(tls, host.host, 0, &events, &error)) return true;
    if (events == 0) {
      note_failure(*socket.watch, error.message);
      return false;
    }
    if (!wait_for(socket, static_cast<short>(events), until)) {
      note_failure(*socket.watch, "the server did not answer the TLS handshake in time");
      return false;
    }
  }
}

mongoc_stream_t* wrap_tls(const mongoc_uri_t* uri, const mongoc_host_list_t& host, Socket& socket) {
  const bool insecure = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSINSECURE, false);
  mongoc_ssl_opt_t options{};
  options.pem_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, nullptr);
  options.pem_pwd =
      mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, nullptr);
  options.ca_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, nullptr);
  options.weak_cert_validation =
      mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, insecure);
  options.allow_invalid_hostname =
      mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, insecure);
  options.internal = internal_tls_options(uri);
  mongoc_stream_t* tls = mongoc_stream_tls_new_with_hostname(&socket.table, host.host, &options, 1);
  if (!tls) {
    socket_close(&socket.table);
    note_failure(*socket.watch,
                 "TLS can't be set up: the CA file or the client certificate that the URI names "
                 "can't be read");
    return &socket.table;
  }
  const Clock::time_point until = expiry(mongoc_uri_get_option_as_int32(
      uri, MONGOC_URI_CONNECTTIMEOUTMS, MONGOC_DEFAULT_CONNECTTIMEOUTMS));
  if (!finish_connect(socket, until) || !shake_hands(tls, socket, host, until)) {
    socket.watch->expired = false;  // another server may answer
    socket_close(&socket.table);
  }
  return tls;
}

}  // namespace

mongoc_stream_t* open_stream(const mongoc_uri_t* uri, const mongoc_host_list_t* host, void* user,
                             bson_error_t* error) {
  Watch& watch = *static_cast<Watch*>(user);
  Socket* socket = new_socket(-1, watch);
  if (!socket) {
    bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "out of memory");
    return nullptr;
  }
  if (next_slice(watch, Clock::time_point::max()) == 0) return &socket->table;
  if (host->family == AF_UNIX) {
    connect_unix(*socket, *host);
  } else {
    connect_tcp(*socket, uri, *host);
  }
  if (socket->fd < 0 || !mongoc_uri_get_tls(uri)) return &socket->table;
  return wrap_tls(uri, *host, *socket);
}

}  // namespace ptsecure::mongodb
