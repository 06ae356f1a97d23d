// SPDX-License-Identifier: Apache-2.0
#include "net/dial.h"

#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

namespace fanhorn {

Result<std::vector<PeerAddress>> resolve_host(const std::string& host, const std::string& port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int failure = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
    if (failure != 0)
        return Error{"'" + host + "': " + gai_strerror(failure)};
    std::vector<PeerAddress> peers;
    for (const addrinfo* each = found; each; each = each->ai_next) {
        PeerAddress peer;
        peer.size = each->ai_addrlen;
        std::memcpy(&peer.storage, each->ai_addr, each->ai_addrlen);
        peers.push_back(peer);
    }
    freeaddrinfo(found);
    return peers;
}

Result<PeerAddress> unix_peer(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return Error{"'" + path + "' is too long for a unix socket"};
    std::memcpy(address.sun_path, path.data(), path.size());
    PeerAddress peer;
    peer.size = sizeof address;
    std::memcpy(&peer.storage, &address, sizeof address);
    return peer;
}

Descriptor start_connecting(const PeerAddress& peer) {
    Descriptor fd(socket(peer.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return fd;
    if (peer.storage.ss_family != AF_UNIX) {
        const int on = 1;
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    const int result =
        connect(fd.get(), reinterpret_cast<const sockaddr*>(&peer.storage), peer.size);
    if (result != 0 && errno != EINPROGRESS && errno != EINTR)
        return {};
    return fd;
}

int connect_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return errno;
    sockaddr_storage peer{};
    size = sizeof peer;
    if (error == 0 && getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0)
        return errno == ENOTCONN ? EINPROGRESS : errno;
    return error;
}

} // namespace fanhorn
