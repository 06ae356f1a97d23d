// SPDX-License-Identifier: Apache-2.0
// Sockets: the calls, their options, and how a listening one is made.
#pragma once

#include "base/clock.h"
#include "base/net_address.h"
#include "base/result.h"

#include <cstdint>
#include <span>
#include <string>

#include <sys/types.h>
#include <sys/uio.h>

namespace fanhorn {

// A descriptor with one owner.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset();

  private:
    int fd_ = -1;
};

// Whether nobody listens at that literal address, not even one who shares it. It does not listen
// itself: who connects meanwhile is refused, and not reset by our end of it.
Result<void> expect_free(const std::string& host, uint16_t port);
// A bound and listening socket of that literal address. `port` 0 lets the kernel choose. Shared by
// SO_REUSEPORT: each worker has its own. Accepted sockets inherit TCP_NODELAY, keepalive and
// TCP_NOTSENT_LOWAT from it.
Result<Descriptor> listen_inet(const std::string& host, uint16_t port, int backlog);
// A connection that it accepts from now on breaks when its peer has confirmed nothing of what was
// sent, or has had no room for it, for so long (TCP_USER_TIMEOUT of tcp(7)).
void set_silence(int listener, Millis most);
// Replaces a socket file that nobody listens on.
Result<Descriptor> listen_unix(const std::string& path, int backlog);
// A socket that systemd passed (LISTEN_FDS, LISTEN_FDNAMES) by that name; a copy of it.
Result<Descriptor> listen_passed(const std::string& name);
// The port that a bound socket has; 0 for none.
uint16_t local_port(int fd);
// Where the connection comes from; unknown when it is gone.
NetAddress peer_of(int fd);
// Bytes for telling connections apart, not for people: no other open one has the same.
std::string socket_name(int fd);

// accept4, non-blocking and close-on-exec; -1 and errno on failure.
int accept_socket(int listener);

// Bytes moved; 0 for "would block"; -1 for a broken connection. EINTR is tried again.
ssize_t send_pieces(int fd, const iovec* pieces, int count);
struct Received {
    enum class State : uint8_t { Bytes, WouldBlock, End, Broken };
    State state;
    size_t size = 0;
    bool is_all = false; // nothing more was there; what comes later has an edge of its own
};
Received receive(int fd, std::span<char> buffer);
// The same bytes are there still to be received.
Received peek(int fd, std::span<char> buffer);
// Whether the peer has reset the connection; what is there to read stays.
bool is_broken(int fd);
// Half-closes: what was sent still arrives.
void shutdown_sending(int fd);

} // namespace fanhorn
