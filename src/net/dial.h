// SPDX-License-Identifier: Apache-2.0
// Outgoing connections: where to, and the call that does not wait.
#pragma once

#include "base/result.h"
#include "net/socket.h"

#include <string>
#include <vector>

#include <sys/socket.h>

namespace fanhorn {

struct PeerAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
};

// All that a host's name or literal address stands for, in the resolver's order. Asks the system's
// resolver and waits for it: at start and reload, never on a loop.
Result<std::vector<PeerAddress>> resolve_host(const std::string& host, const std::string& port);
// Of a unix socket; the error says that the path is too long.
Result<PeerAddress> unix_peer(const std::string& path);

// A non-blocking socket that is connecting, or has: writable then. None when that failed at once
// (errno).
Descriptor start_connecting(const PeerAddress& peer);
// 0 once it is connected, EINPROGRESS before, else the errno of what became of it.
int connect_error(int fd);

} // namespace fanhorn
