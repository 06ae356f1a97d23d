// SPDX-License-Identifier: Apache-2.0
#include "server/client_address.h"

#include "http/forwarded.h"

namespace fanhorn {

std::optional<PeerRefusal> peer_refusal(const ListenerSettings& listener, const NetAddress& peer) {
    if (is_in(listener.trusted_proxies, peer))
        return std::nullopt;
    if (listener.proxy_protocol)
        return PeerRefusal::Untrusted;
    if (!listener.allow.empty() && !is_in(listener.allow, peer))
        return PeerRefusal::NotAllowed;
    return std::nullopt;
}

NetAddress client_of(const http::Request& request, const NetAddress& peer,
                     const std::vector<Network>& trusted) {
    NetAddress client = peer;
    http::ForwardedHops hops(request);
    while (is_in(trusted, client)) {
        const auto next = hops.next();
        if (!next)
            break;
        client = *next;
    }
    return client;
}

} // namespace fanhorn
