// SPDX-License-Identifier: Apache-2.0
// TLS below HTTP: its handshake, its records, its end.
#include "base/log.h"
#include "server/socket_connection.h"
#include "server/worker.h"

namespace fanhorn {

static_assert(kHandshakeEnds == std::tuple_size_v<decltype(Counters::handshakes)>);

// What comes from here on is TLS, where the listener says so.
void SocketConnection::start_tls() {
    if (listener().tls_context)
        tls_ = std::make_unique<Secured>(
            listener().tls_context, socket_.get(),
            listener().http2 != Http2::Off && http::Http2Session::is_built(), *this);
}

void SocketConnection::end_tls() {
    if (!tls_)
        return;
    tls_->stream.close(); // as far as the socket takes it
    worker().handshakes().leave(*tls_);
}

void SocketConnection::shake_hands() {
    read_some();
}

// Until its handshake is done; the worker says when it goes on.
void SocketConnection::await_handshake(uint8_t what) {
    TlsStream& stream = tls_->stream;
    const bool has_begun = stream.has_begun();
    if (!has_begun && (what & kClosed)) {
        count_handshake(HandshakeEnd::Closed);
        return drop();
    }
    if ((what & (kReadable | kClosed)) || stream.reads_when_writable())
        worker().handshakes().enter(*tls_);
}

void SocketConnection::count_handshake(HandshakeEnd end) {
    counters().handshakes[static_cast<size_t>(end)].add(1);
    if (static_cast<size_t>(end) >= kHandshakeSuccesses)
        log_event(LogLevel::Info, "tls_handshake_failed",
                  {{"listener", listener().name},
                   {"why", handshake_end_name(end)},
                   {"reason", tls_->stream.reason()},
                   {"who", to_text(client())}});
}

Received SocketConnection::receive_secured(std::span<char> buffer) {
    const bool was_shaking = is_shaking();
    const Received got = tls_->stream.receive(buffer);
    if (was_shaking && !is_shaking()) {
        count_handshake(tls_->stream.handshake_end());
        if (tls_->stream.protocol() == "h2")
            multiplex();
    }
    return got;
}

void SocketConnection::on_broken() {
    if (!tls_ || tls_->stream.handshake_end() != HandshakeEnd::PlainHttp)
        return drop();
    worker().handshakes().leave(*tls_);
    tls_ = nullptr;
    refuse_protocol(http::problem("bad_request", "this port speaks TLS: it is https, not http"));
    if (state() != State::Closed) // what is left of the request, or a reset would eat the answer
        read_in_next_turn();
}

// What is left of a record goes before anything else. Whether it went, and there is more to do.
bool SocketConnection::flush_record() {
    if (!tls_ || is_shaking())
        return true;
    const TlsStream::Flushed flushed = tls_->stream.flush();
    if (flushed == TlsStream::Flushed::Broken)
        drop();
    else if (flushed == TlsStream::Flushed::All && tls_->stream.is_closing())
        finish();
    return flushed == TlsStream::Flushed::All && !tls_->stream.is_closing();
}

// A socket that takes nothing delays the end; without TLS it is the kernel that keeps the rest.
bool SocketConnection::say_end() {
    if (!tls_ || tls_->stream.close())
        return true;
    if (state() != State::Flushing) {
        enter(State::Flushing);
        arm(worker().config().limits.send_timeout);
    }
    return false;
}

} // namespace fanhorn
