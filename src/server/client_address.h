// SPDX-License-Identifier: Apache-2.0
// Where a request's client is: at the other end of its connection, or where trusted proxies say.
#pragma once

#include "base/net_address.h"
#include "http/request.h"
#include "relay/counters.h"
#include "server/config.h"

#include <optional>
#include <unordered_map>

namespace fanhorn {

class Connection;

// Why no connection of that peer is wanted, before anything has come of it.
std::optional<PeerRefusal> peer_refusal(const ListenerSettings& listener, const NetAddress& peer);

// The client of a request that came from `peer`. Where that is trusted, whom it asks for is looked
// at in its place, and so on: the first who is not trusted, the last when all are, or whoever said
// what cannot be understood.
NetAddress client_of(const http::Request& request, const NetAddress& peer,
                     const std::vector<Network>& trusted);

// The clients of one worker's connections, of those that are not their own peers'. The others have
// no entry, and an idle connection of a listener without proxies pays nothing.
class Clients {
  public:
    struct Entry {
        NetAddress peer;   // as the PROXY header says, or the connection's
        NetAddress client; // of the request that is being answered, or of the subscription
    };

    void set(const Connection& connection, const Entry& entry) { entries_[&connection] = entry; }
    const Entry& of(const Connection& connection) const { return entries_.at(&connection); }
    void remove(const Connection& connection) { entries_.erase(&connection); }

  private:
    std::unordered_map<const Connection*, Entry> entries_;
};

} // namespace fanhorn
