// SPDX-License-Identifier: Apache-2.0
// Who is at the other end, where proxies stand between.
#include "server/connection.h"
#include "server/worker.h"

namespace fanhorn {

NetAddress Connection::client() const {
    return has_client_ ? worker().clients().of(*this).client : own_peer();
}

// Whom the connection itself is from.
NetAddress Connection::peer() const {
    return has_client_ ? worker().clients().of(*this).peer : own_peer();
}

void Connection::set_client(const NetAddress& peer, const NetAddress& client) {
    worker().clients().set(*this, {peer, client});
    has_client_ = true;
}

void Connection::forget_client() {
    if (has_client_)
        worker().clients().remove(*this);
    has_client_ = false;
}

// A request begins: who asked before says nothing of it.
void Connection::expect_client() {
    if (has_client_)
        set_client(peer(), peer());
}

// Its head is there.
void Connection::find_client() {
    const auto& trusted = listener_->settings.trusted_proxies;
    if (trusted.empty())
        return;
    const NetAddress from = peer();
    const NetAddress found = client_of(exchange_->request, from, trusted);
    if (has_client_ || found != from)
        set_client(from, found);
}

std::optional<http::Problem> Connection::check_client() {
    const auto& allow = listener_->settings.allow;
    if (allow.empty() || is_in(allow, client()))
        return has_client_ ? worker().count_client(*this, listener_->settings) : std::nullopt;
    counters().refuse(PeerRefusal::NotAllowed, to_text(client()));
    return http::problem("forbidden", "requests from your address are not answered here");
}

bool Worker::refuses(const ListenerSettings& listener, int fd) {
    if (listener.allow.empty() && !listener.proxy_protocol)
        return false;
    const NetAddress peer = peer_of(fd);
    const auto why = peer_refusal(listener, peer);
    if (why)
        counters_.refuse(*why, to_text(peer));
    return why.has_value();
}

} // namespace fanhorn
