// SPDX-License-Identifier: Apache-2.0
#include "server/multiplexer.h"

#include "base/log.h"
#include "server/socket_connection.h"
#include "server/worker.h"

namespace fanhorn {

namespace {

constexpr Millis kFarewellMs = 1000; // for what was on its way when the first GOAWAY went out

http::Http2Limits limits_of(const LimitSettings& limits) {
    return {.streams = limits.http2_streams,
            .header_size = limits.header_size,
            .resets = limits.http2_resets,
            .frames = limits.http2_frames};
}

} // namespace

Multiplexer::Multiplexer(SocketConnection& carrier)
    : carrier_(carrier), session_(*this, limits_of(carrier.worker().config().limits)),
      idle_since_(carrier.worker().now()),
      goes_at_(carrier.worker().date_to_go(carrier.listener())) {
    carrier_.counters().http2_connections.add(1);
    carrier_.worker().set_date_to_go(carrier_, goes_at_);
    on_output(); // our settings
}

Multiplexer::~Multiplexer() {
    carrier_.counters().http2_connections.subtract(1);
}

void Multiplexer::receive(std::span<char> bytes, Client&) {
    session_.receive({bytes.data(), bytes.size()}, carrier_.worker().now());
    note_excess();
}

void Multiplexer::on_output() {
    carrier_.worker().flush_later(*this);
}

http::Http2User* Multiplexer::accept(http::Http2Stream& stream) {
    has_settled_ = true;
    if (!carrier_.worker().take_place(carrier_.listener()))
        return nullptr;
    auto* connection = new StreamConnection(carrier_, stream);
    carrier_.worker().adopt(*connection, goes_at_);
    return &connection->user();
}

void Multiplexer::flush() {
    due.unlink();
    const Millis now = carrier_.worker().now();
    for (std::string_view bytes = session_.output(); !bytes.empty(); bytes = session_.output()) {
        const iovec piece = {const_cast<char*>(bytes.data()), bytes.size()};
        const ssize_t sent = carrier_.write(&piece, 1);
        if (sent < 0)
            return;
        session_.sent(static_cast<size_t>(sent));
        if (sent > 0 || !blocked_since_)
            blocked_since_ = now;
        if (static_cast<size_t>(sent) < bytes.size())
            return arm();
    }
    blocked_since_ = 0;
    note_excess();
    session_.tell_writable();
    if (session_.is_over() || (farewells_ > 1 && session_.stream_count() == 0)) {
        session_.abandon();
        return carrier_.finish();
    }
    if (session_.stream_count() > 0 || has_streams_)
        idle_since_ = now;
    has_streams_ = session_.stream_count() > 0;
    arm();
}

// When what it waits for is another thing than before.
void Multiplexer::arm() {
    if (farewells_ == 1)
        return;
    const auto& limits = carrier_.worker().config().limits;
    const Due due_now = blocked_since_              ? Due::Blocked
                        : session_.head_since() > 0 ? Due::Head
                                                    : Due::Idle;
    if (due_now == due_for_ && carrier_.is_armed())
        return;
    due_for_ = due_now;
    if (due_now == Due::Blocked)
        carrier_.arm(limits.send_timeout);
    else
        carrier_.arm(due_now == Due::Idle && has_settled_ ? limits.idle_timeout
                                                          : limits.header_timeout);
}

bool Multiplexer::is_overdue(Due due_for, Millis now) {
    const auto& limits = carrier_.worker().config().limits;
    switch (due_for) {
    case Due::Blocked:
        return blocked_since_ && now - blocked_since_ >= limits.send_timeout;
    case Due::Head:
        return session_.head_since() > 0 && now - session_.head_since() >= limits.header_timeout;
    case Due::Idle:
        return !has_settled_ ||
               (session_.stream_count() == 0 && now - idle_since_ >= limits.idle_timeout);
    case Due::Nothing:
        break;
    }
    return false;
}

void Multiplexer::on_deadline() {
    if (farewells_ == 1) {
        ++farewells_;
        return session_.shut_down(true);
    }
    const Millis now = carrier_.worker().now();
    for (const auto& [due_for, limit] : {std::pair(Due::Blocked, Limit::SendTimeout),
                                         std::pair(Due::Head, Limit::HeaderTimeout)}) {
        if (!is_overdue(due_for, now))
            continue;
        carrier_.note(limit);
        return carrier_.drop();
    }
    if (is_overdue(Due::Idle, now) && farewells_ == 0) {
        carrier_.note(has_settled_ ? Limit::IdleTimeout : Limit::HeaderTimeout);
        farewells_ = 2;
        session_.shut_down(true);
    }
    arm();
}

void Multiplexer::go_away() {
    if (farewells_ > 0)
        return;
    farewells_ = 1;
    session_.shut_down(false);
    carrier_.arm(kFarewellMs);
}

void Multiplexer::close() {
    due.unlink();
    if (!session_.fault().empty())
        log_event(LogLevel::Info, "http2_ended",
                  {{"reason", session_.fault()}, {"who", to_text(carrier_.client())}});
    session_.abandon();
}

void Multiplexer::note_excess() {
    switch (session_.take_excess()) {
    case http::Http2Session::Excess::None:
        return;
    case http::Http2Session::Excess::Streams:
        return carrier_.note(Limit::Http2Streams);
    case http::Http2Session::Excess::Resets:
        return carrier_.note(Limit::Http2Resets);
    case http::Http2Session::Excess::Frames:
        return carrier_.note(Limit::Http2Frames);
    }
}

// ---- a stream

StreamConnection::StreamConnection(SocketConnection& carrier, http::Http2Stream& stream)
    : Connection(carrier.listener_end()), carrier_(carrier), stream_(&stream) {
    counters().http2_streams.add(1);
    if (const NetAddress from = carrier.peer(); from != carrier.own_peer())
        set_client(from, from);
    arm(worker().config().limits.header_timeout);
}

std::string StreamConnection::carrier_name() const {
    return carrier_.carrier_name();
}

NetAddress StreamConnection::own_peer() const {
    return carrier_.own_peer();
}

// The carrier's is in use, when it gives us something to read.
std::span<char> StreamConnection::read_buffer() const {
    return worker().stream_buffer();
}

Received StreamConnection::receive_some(std::span<char> buffer) {
    if (!stream_)
        return {Received::State::Broken};
    const size_t size = stream_->read(buffer);
    if (size > 0)
        return {Received::State::Bytes, size};
    const bool is_end =
        stream_->has_ended() && !stream_->is_ended(); // else our last words go first
    return {is_end ? Received::State::End : Received::State::WouldBlock};
}

ssize_t StreamConnection::write(const iovec* pieces, int count) {
    return stream_ ? stream_->write(pieces, count) : -1;
}

// It needs no linger: no reset eats what was sent.
void StreamConnection::finish() {
    if (!stream_ || stream_->is_ended())
        return;
    if (stream_->end())
        return drop();
    enter(State::Flushing);
    arm(worker().config().limits.send_timeout);
}

void StreamConnection::on_room() {
    if (stream_->is_ended())
        return drop();
    on_writable();
}

void StreamConnection::on_gone() {
    stream_ = nullptr;
    drop();
}

void StreamConnection::on_closed() {
    if (stream_)
        stream_->leave();
    stream_ = nullptr;
}

} // namespace fanhorn
