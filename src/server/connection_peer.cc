// SPDX-License-Identifier: Apache-2.0
// Who is at the other end, where proxies stand between.
#include "base/log.h"
#include "http/proxy_header.h"
#include "server/connection.h"
#include "server/worker.h"

namespace fanhorn {

NetAddress Connection::client() const {
    return has_client_ ? worker().clients().of(*this).client : peer_of(socket_.get());
}

// Whom the connection itself is from.
NetAddress Connection::peer() const {
    return has_client_ ? worker().clients().of(*this).peer : peer_of(socket_.get());
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

// The proxy's header, which is taken only when it is whole: what comes behind it is for whoever
// reads next. True when that is now.
bool Connection::read_preface() {
    const std::span<char> buffer = worker().read_buffer().first(http::kMaxProxyHeader);
    const Received got = peek(socket_.get(), buffer);
    if (got.state == Received::State::WouldBlock)
        return false;
    if (got.state != Received::State::Bytes) { // a proxy that looked whether we are there
        drop();
        return false;
    }
    const auto header = http::read_proxy_header({buffer.data(), got.size});
    if (header.status == http::ProxyHeader::Status::Malformed)
        refuse_preface(header.fault);
    else if (header.status == http::ProxyHeader::Status::NeedMore && is_end_due_)
        refuse_preface("it ended too early");
    if (header.status != http::ProxyHeader::Status::Whole)
        return false;
    if (receive(socket_.get(), buffer.first(header.size)).size != header.size) {
        drop();
        return false;
    }
    counters().received_bytes.add(header.size);
    if (header.source)
        set_client(*header.source, *header.source);
    enter(State::Idle);
    start_tls();
    if (tls_) // its first bytes may be there already, and have had their edge
        worker().handshakes().enter(*tls_);
    return tls_ == nullptr;
}

void Connection::refuse_preface(std::string_view why) {
    counters().refuse(PeerRefusal::Malformed, to_text(peer()), why);
    drop();
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
        return std::nullopt;
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
