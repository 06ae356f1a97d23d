// SPDX-License-Identifier: Apache-2.0
#include "net/socket.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace fanhorn {

namespace {

// Unsent bytes that the kernel takes for one socket: a reader that stops then costs some 20 kB,
// not the 3-4 MB that the buffer would grow to.
constexpr int kNotSentLowat = 16 << 10;
constexpr int kKeepIdleS = 60;
constexpr int kKeepIntervalS = 15;
constexpr int kKeepProbes = 4;
constexpr int kFirstPassedDescriptor = 3; // sd_listen_fds(3)

std::string reason() {
    return std::strerror(errno);
}

void set_option(int fd, int level, int name, int value) {
    // None of them is worth refusing to start for.
    [[maybe_unused]] const int result = setsockopt(fd, level, name, &value, sizeof value);
}

Result<Descriptor> make_socket(int family) {
    Descriptor fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return Error{"socket: " + reason()};
    return fd;
}

void set_tcp_options(int fd) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kNotSentLowat);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleS);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalS);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepProbes);
}

Result<void> bind_to(const Descriptor& fd, const sockaddr* address, socklen_t size) {
    if (bind(fd.get(), address, size) != 0)
        return Error{"bind: " + reason()};
    return {};
}

Result<Descriptor> begin_listening(Descriptor fd, int backlog) {
    if (listen(fd.get(), backlog) != 0)
        return Error{"listen: " + reason()};
    return fd;
}

enum class Sharing : uint8_t { No, Yes };

Result<Descriptor> bind_inet(const std::string& host, uint16_t port, Sharing sharing) {
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    const bool is_v4 = inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1)
        return Error{"'" + host + "' is not an IP address"};
    auto fd = make_socket(is_v4 ? AF_INET : AF_INET6);
    if (!fd)
        return fd;
    set_option(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (sharing == Sharing::Yes)
        set_option(fd->get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (!is_v4)
        set_option(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    v4.sin_family = AF_INET;
    v6.sin6_family = AF_INET6;
    v4.sin_port = v6.sin6_port = htons(port);
    const auto bound = is_v4 ? bind_to(*fd, reinterpret_cast<sockaddr*>(&v4), sizeof v4)
                             : bind_to(*fd, reinterpret_cast<sockaddr*>(&v6), sizeof v6);
    if (!bound)
        return Error{bound.error()};
    return fd;
}

template <size_t Bytes> std::span<const uint8_t, Bytes> bytes_of(const void* address) {
    return std::span<const uint8_t, Bytes>(static_cast<const uint8_t*>(address), Bytes);
}

// Whether somebody accepts connections on that path.
bool is_served(const sockaddr_un& address) {
    const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return probe &&
           connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

} // namespace

void Descriptor::reset() {
    if (fd_ >= 0)
        close(release());
}

Result<void> expect_free(const std::string& host, uint16_t port) {
    if (auto alone = bind_inet(host, port, Sharing::No); !alone)
        return Error{alone.error()};
    return {};
}

Result<Descriptor> listen_inet(const std::string& host, uint16_t port, int backlog) {
    auto fd = bind_inet(host, port, Sharing::Yes);
    if (!fd)
        return fd;
    set_tcp_options(fd->get());
    return begin_listening(std::move(*fd), backlog);
}

void set_silence(int listener, Millis most) {
    set_option(listener, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(most));
}

Result<Descriptor> listen_unix(const std::string& path, int backlog) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return Error{"the path is longer than " + std::to_string(sizeof address.sun_path - 1)};
    path.copy(address.sun_path, path.size());
    if (is_served(address))
        return Error{"somebody listens there already"};
    unlink(path.c_str());
    auto fd = make_socket(AF_UNIX);
    if (!fd)
        return fd;
    if (auto bound = bind_to(*fd, reinterpret_cast<sockaddr*>(&address), sizeof address); !bound)
        return Error{bound.error()};
    return begin_listening(std::move(*fd), backlog);
}

Result<Descriptor> listen_passed(const std::string& name) {
    const char* pid = std::getenv("LISTEN_PID");
    const char* count = std::getenv("LISTEN_FDS");
    const char* names = std::getenv("LISTEN_FDNAMES");
    if (!pid || !count || !names || std::atoi(pid) != getpid())
        return Error{"no socket was passed (LISTEN_FDS)"};
    std::string_view rest = names;
    for (int i = 0; i < std::atoi(count); ++i) {
        const std::string_view each = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), each.size() + 1));
        if (each != name)
            continue;
        Descriptor fd(fcntl(kFirstPassedDescriptor + i, F_DUPFD_CLOEXEC, 0));
        if (!fd || fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0)
            return Error{"cannot use the passed socket: " + reason()};
        set_tcp_options(fd.get());
        return fd;
    }
    return Error{"no socket of that name was passed (LISTEN_FDNAMES)"};
}

uint16_t local_port(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0)
        return 0;
    if (storage.ss_family == AF_INET)
        return ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
    if (storage.ss_family == AF_INET6)
        return ntohs(reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
    return 0;
}

NetAddress peer_of(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0)
        return {};
    if (storage.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
        return NetAddress::v4(bytes_of<4>(&v4.sin_addr), ntohs(v4.sin_port));
    }
    if (storage.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
        return NetAddress::v6(bytes_of<16>(&v6.sin6_addr), ntohs(v6.sin6_port));
    }
    return NetAddress::unix_socket();
}

// The inode of the socket: unlike a peer's address it tells those of a unix socket apart, and
// unlike a descriptor it is not soon given again.
std::string socket_name(int fd) {
    struct stat facts {};
    if (fstat(fd, &facts) != 0)
        return "-";
    return "s" + std::string(reinterpret_cast<const char*>(&facts.st_ino), sizeof facts.st_ino);
}

int accept_socket(int listener) {
    int fd = -1;
    do
        fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd;
}

ssize_t send_pieces(int fd, const iovec* pieces, int count) {
    for (;;) {
        ssize_t sent = 0;
        if (count == 1) {
            sent = send(fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL);
        } else {
            msghdr message{};
            message.msg_iov = const_cast<iovec*>(pieces);
            message.msg_iovlen = static_cast<size_t>(count);
            sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        }
        if (sent >= 0)
            return sent;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

namespace {

Received receive(int fd, std::span<char> buffer, int flags) {
    for (;;) {
        const ssize_t got = recv(fd, buffer.data(), buffer.size(), flags);
        if (got > 0)
            return {Received::State::Bytes, static_cast<size_t>(got),
                    static_cast<size_t>(got) < buffer.size()};
        if (got == 0)
            return {Received::State::End};
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return {Received::State::WouldBlock};
        if (errno != EINTR)
            return {Received::State::Broken};
    }
}

} // namespace

Received receive(int fd, std::span<char> buffer) {
    return receive(fd, buffer, 0);
}

Received peek(int fd, std::span<char> buffer) {
    return receive(fd, buffer, MSG_PEEK);
}

bool is_broken(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0)
        return true;
    char byte = 0;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void shutdown_sending(int fd) {
    shutdown(fd, SHUT_WR);
}

} // namespace fanhorn
