// SPDX-License-Identifier: Apache-2.0
// The server's listening sockets.
#include "base/log.h"
#include "server/server.h"

#include <algorithm>
#include <fcntl.h>

namespace fanhorn {

static Result<Descriptor> open_socket(const Address& address, const ListenerSettings& listener,
                                      uint16_t port) {
    const int backlog = static_cast<int>(listener.backlog);
    switch (address.kind) {
    case Address::Kind::Inet:
        return listen_inet(address.host, port, backlog);
    case Address::Kind::Unix:
        return listen_unix(address.host, backlog);
    case Address::Kind::Descriptor:
        return listen_passed(address.host);
    }
    return Error{"unknown kind of address"};
}

Result<std::vector<std::vector<NewListener>>> Server::open_listeners(const Config& config) {
    std::vector<std::vector<NewListener>> opened(workers_.size());
    std::vector<std::string> keys;
    for (const ListenerSettings& listener : config.listeners) {
        for (const Address& address : listener.addresses) {
            keys.push_back(address.text);
            if (std::find(open_keys_.begin(), open_keys_.end(), address.text) != open_keys_.end())
                continue;
            if (auto result = open_address(listener, address, opened); !result)
                return Error{listener.origin + ": [listener " + listener.name + "] address " +
                             address.text + ": " + result.error()};
        }
    }
    open_keys_ = std::move(keys);
    return opened;
}

// A socket for each worker: one of its own, or copies of one where the kernel cannot share it out.
Result<void> Server::open_address(const ListenerSettings& listener, const Address& address,
                                  std::vector<std::vector<NewListener>>& opened) {
    if (succession_)
        if (auto inherited = succession_->take_listeners(address.text); !inherited.empty())
            return inherit(std::move(inherited), listener, address, opened);
    uint16_t port = address.port;
    // Sharing would let two daemons have the address, each with half of the connections.
    if (address.kind == Address::Kind::Inet)
        if (auto checked = expect_free(address.host, port); !checked)
            return checked;
    Descriptor shared;
    for (auto& of_worker : opened) {
        Descriptor socket;
        if (shared) {
            socket = Descriptor(fcntl(shared.get(), F_DUPFD_CLOEXEC, 0));
        } else {
            auto made = open_socket(address, listener, port);
            if (!made)
                return Error{made.error()};
            socket = std::move(*made);
        }
        if (address.kind == Address::Kind::Inet)
            port = local_port(socket.get());
        else if (!shared)
            shared = Descriptor(fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
        of_worker.push_back({listener, address.text, std::move(socket)});
    }
    log_event(LogLevel::Notice, "listening",
              {{"listener", listener.name}, {"address", address.text}, {"port", port}});
    return {};
}

// As many sockets as the other process had workers: who waits in one of them must not be forgotten.
Result<void> Server::inherit(std::vector<Descriptor> inherited, const ListenerSettings& listener,
                             const Address& address,
                             std::vector<std::vector<NewListener>>& opened) {
    const bool is_inet = address.kind == Address::Kind::Inet;
    const uint16_t port = is_inet ? local_port(inherited[0].get()) : 0;
    const Descriptor first(fcntl(inherited[0].get(), F_DUPFD_CLOEXEC, 0));
    const size_t wanted = is_inet ? std::max(inherited.size(), opened.size()) : opened.size();
    for (size_t i = 0; i < wanted; ++i) {
        Descriptor socket;
        if (!is_inet) {
            socket = Descriptor(fcntl(first.get(), F_DUPFD_CLOEXEC, 0));
        } else if (i < inherited.size()) {
            socket = std::move(inherited[i]);
        } else {
            auto made = open_socket(address, listener, port);
            if (!made)
                return Error{made.error()};
            socket = std::move(*made);
        }
        opened[i % opened.size()].push_back({listener, address.text, std::move(socket)});
    }
    log_event(LogLevel::Notice, "listening",
              {{"listener", listener.name}, {"address", address.text}, {"port", port}});
    return {};
}

Result<void> Server::add_listeners(std::vector<std::vector<NewListener>> listeners) {
    for (size_t i = 0; i < workers_.size(); ++i)
        for (NewListener& listener : listeners[i])
            if (auto added = workers_[i]->add_listener(std::move(listener)); !added)
                return added;
    return {};
}

} // namespace fanhorn
