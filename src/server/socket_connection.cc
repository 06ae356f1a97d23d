// SPDX-License-Identifier: Apache-2.0
// The socket below a connection: its readiness, what comes before HTTP, its end.
#include "server/socket_connection.h"

#include "http/proxy_header.h"
#include "server/multiplexer.h"
#include "server/worker.h"

namespace fanhorn {

SocketConnection::SocketConnection(Ref<ListenerEnd> end, int fd)
    : Connection(std::move(end)), socket_(fd), is_proxy_due_(listener().proxy_protocol) {}

SocketConnection::~SocketConnection() {
    unwatch();
}

bool SocketConnection::begin() {
    if (!is_proxy_due_)
        start_tls();
    if (is_proxy_due_ || (!tls_ && listener().http2 == Http2::Cleartext))
        enter(State::Preface);
    arm(worker().config().limits.header_timeout);
    return watch_socket();
}

bool SocketConnection::watch_socket() {
    return watch(worker().loop(), socket_.get());
}

void SocketConnection::on_closed() {
    if (Multiplexer* streams = multiplexer())
        streams->close();
    end_tls();
    unwatch();
}

void SocketConnection::go_away(uint32_t retry_ms) {
    if (state() == State::Multiplexing)
        return multiplexer()->go_away();
    Connection::go_away(retry_ms);
}

void SocketConnection::on_deadline() {
    if (state() == State::Multiplexing)
        return multiplexer()->on_deadline();
    if (state() == State::Idle && is_shaking())
        count_handshake(HandshakeEnd::Timeout);
    Connection::on_deadline();
}

// ---- readiness

void SocketConnection::on_ready(uint8_t what) {
    if (what & kClosed)
        is_end_due_ = true;
    if (is_shaking())
        return await_handshake(what);
    if (what & kClosed)
        note_end();
    if (what & kWritable)
        on_socket_writable();
    if (state() == State::Closed || !(what & (kReadable | kClosed)))
        return;
    if (state() != State::Preface || read_preface())
        read_some();
}

void SocketConnection::on_socket_writable() {
    if (!flush_record())
        return;
    if (state() == State::Multiplexing)
        multiplexer()->flush();
    else
        on_writable();
    if (tls_ && tls_->stream.reads_when_writable() && state() != State::Closed)
        read_in_next_turn();
}

Received SocketConnection::receive_some(std::span<char> buffer) {
    Received got = tls_ ? receive_secured(buffer) : receive(socket_.get(), buffer);
    // An end that came with the bytes has had its edge, and has still to be read.
    got.is_all = got.is_all && !is_end_due_;
    if (got.state == Received::State::Bytes)
        counters().received_bytes.add(got.size);
    return got;
}

// What its streams have been answered meanwhile goes out, as far as the socket takes it.
void SocketConnection::on_end() {
    if (state() != State::Multiplexing)
        return Connection::on_end();
    do
        multiplexer()->flush();
    while (state() == State::Multiplexing && multiplexer()->due.is_linked());
    drop();
}

ssize_t SocketConnection::write(const iovec* pieces, int count) {
    if (state() == State::Closed)
        return -1;
    return on_sent(tls_ ? tls_->stream.send(pieces, count)
                        : send_pieces(socket_.get(), pieces, count));
}

void SocketConnection::finish() {
    if (state() == State::Closed || state() == State::Lingering || !say_end())
        return;
    shutdown_sending(socket_.get());
    enter(State::Lingering);
    arm(kLingerMs);
    if (has_ended())
        drop();
}

// ---- what comes before HTTP

// Whoever reads next may do so now.
bool SocketConnection::read_preface() {
    if (is_proxy_due_ && !read_proxy_header())
        return false;
    if (tls_) { // its first bytes may be there already, and have had their edge
        enter(State::Idle);
        worker().handshakes().enter(*tls_);
        return false;
    }
    return listener().http2 == Http2::Cleartext ? read_http2_preface() : true;
}

// It is taken only when it is whole: what comes behind it is for whoever reads next.
bool SocketConnection::read_proxy_header() {
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
    is_proxy_due_ = false;
    if (header.source && !take_client(*header.source))
        return false;
    start_tls();
    if (listener().http2 != Http2::Cleartext)
        enter(State::Idle);
    return true;
}

// By prior knowledge (RFC 9113 section 3.3): it is looked at, and left for whoever reads next.
bool SocketConnection::read_http2_preface() {
    const std::span<char> buffer = worker().read_buffer().first(http::kHttp2Preface.size());
    const Received got = peek(socket_.get(), buffer);
    if (got.state == Received::State::WouldBlock)
        return false;
    const std::string_view begin(buffer.data(), got.size);
    if (begin == http::kHttp2Preface)
        multiplex();
    else if (!begin.empty() && http::kHttp2Preface.starts_with(begin) && !is_end_due_)
        return false;
    else
        enter(State::Idle);
    return true;
}

// As the PROXY header names him. False: his address has too many connections.
bool SocketConnection::take_client(const NetAddress& client) {
    set_client(client, client);
    const auto problem = worker().count_client(*this, listener());
    if (problem && listener().tls_context)
        drop();
    else if (problem)
        refuse_protocol(*problem);
    return !problem;
}

void SocketConnection::refuse_preface(std::string_view why) {
    counters().refuse(PeerRefusal::Malformed, to_text(peer()), why);
    drop();
}

// ---- HTTP/2

void SocketConnection::multiplex() {
    enter(State::Multiplexing);
    is_multiplexed_ = true;
    set_inbound(std::make_unique<Multiplexer>(*this));
}

// Null where it speaks HTTP/1.1. Then its inbound() is another one, that of a subscriber.
Multiplexer* SocketConnection::multiplexer() const {
    return is_multiplexed_ ? static_cast<Multiplexer*>(inbound()) : nullptr;
}

} // namespace fanhorn
