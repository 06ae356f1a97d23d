// SPDX-License-Identifier: Apache-2.0
#include "ctl/socket.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace fanhorn::ctl {

namespace {

constexpr int kConnectTimeoutS = 5;

// The time to send bounds connect() too; it says EINPROGRESS then, a unix socket EAGAIN.
Result<Socket> connect_address(int family, const sockaddr* address, socklen_t size) {
    Socket made(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{kConnectTimeoutS, 0};
    setsockopt(made.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(made.fd(), address, size) == 0)
        return made;
    return Error{errno == EAGAIN || errno == EINPROGRESS ? "timed out" : std::strerror(errno)};
}

Result<Socket> connect_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return Error{"the path of the socket is too long"};
    path.copy(address.sun_path, path.size());
    auto made = connect_address(AF_UNIX, reinterpret_cast<sockaddr*>(&address), sizeof address);
    return made ? std::move(made) : Error{"cannot connect to " + path + ": " + made.error()};
}

} // namespace

Socket::~Socket() {
    if (fd_ >= 0)
        close(fd_);
}

Result<Socket> connect_to(const http::Url& url) {
    if (url.host.empty())
        return connect_unix(url.path);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int failed = getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found))
        return Error{"cannot find " + url.host + ": " + gai_strerror(failed)};
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
    std::string why = "no address";
    for (const addrinfo* each = found; each; each = each->ai_next) {
        auto made = connect_address(each->ai_family, each->ai_addr, each->ai_addrlen);
        if (made)
            return made;
        why = made.error();
    }
    return Error{"cannot connect to " + url.authority + ": " + why};
}

Result<Socket> connect_to_daemon(const http::Url& url) {
    auto made = connect_to(url);
    if (!made)
        return Error{made.error() + "; is the daemon running?"};
    return made;
}

} // namespace fanhorn::ctl
