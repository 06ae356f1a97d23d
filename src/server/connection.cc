// SPDX-License-Identifier: Apache-2.0
// The socket, the states, the deadlines. HTTP is in connection_http.cc, subscribing in
// connection_subscribe.cc.
#include "server/connection.h"

#include "base/log.h"
#include "server/worker.h"

#include <unistd.h>

namespace fanhorn {

namespace {

constexpr Millis kLingerMs = 5000; // for the peer to hear our last words
constexpr int kReadsPerTurn = 8;   // of the worker's buffer, by one connection

} // namespace

Connection::Connection(Ref<ListenerEnd> listener, int fd) : listener_(std::move(listener)) {
    socket_ = Descriptor(fd);
    worker().counters().connections[static_cast<size_t>(use_)].add(1);
    worker().counters().accepted.add(1);
}

Connection::~Connection() {
    if (exchange_ && exchange_->owner)
        *exchange_->owner = nullptr;
    forget_client();
    unwatch();
    worker().counters().connections[static_cast<size_t>(use_)].subtract(1);
}

Worker& Connection::worker() const {
    return listener_->worker;
}

bool Connection::begin() {
    if (listener_->settings.proxy_protocol)
        enter(State::Preface);
    else
        start_tls();
    arm(worker().config().limits.header_timeout);
    return watch(worker().loop(), socket_.get());
}

void Connection::set_use(Use use) {
    auto& connections = worker().counters().connections;
    connections[static_cast<size_t>(use_)].subtract(1);
    connections[static_cast<size_t>(use)].add(1);
    use_ = use;
}

void Connection::enter(State state) {
    if (state_ == State::Closed)
        return;
    state_ = state;
    if (state != State::Closed)
        return;
    end_tls();
    unwatch();
    disarm();
    if (reads_again_)
        worker().forget(*this);
    if (subscriber_)
        subscriber_->abandon();
    worker().bury(*this);
}

void Connection::arm(Millis duration) {
    worker().deadlines().arm(*this, duration, worker().now());
}

void Connection::drop() {
    enter(State::Closed);
}

// ---- the socket

void Connection::on_ready(uint8_t what) {
    if (what & kClosed)
        is_end_due_ = true;
    if (is_shaking())
        return await_handshake(what);
    if ((what & kClosed) && (state_ == State::Polling || state_ == State::Answering))
        peer_ended_ = true; // told by the read that follows, when one is wanted
    if (what & kWritable)
        on_writable();
    if (state_ != State::Closed && (what & (kReadable | kClosed)))
        read_some();
}

void Connection::on_writable() {
    if (!flush_record())
        return;
    if (exchange_ && exchange_->out_pending() > 0)
        flush_out();
    else if (subscriber_)
        subscriber_->on_writable();
    if (state_ == State::Streaming && has_unread_ && wants_input())
        read_in_next_turn();
    if (tls_ && tls_->stream.reads_when_writable() && state_ != State::Closed)
        read_in_next_turn();
}

bool Connection::wants_input() const {
    switch (state_) {
    case State::Idle:
    case State::Head:
    case State::Body:
        return !exchange_ || exchange_->out_pending() < Exchange::kMaxOut;
    case State::Streaming:
        return !is_full();
    case State::Flushing:
    case State::Lingering:
        return true;
    case State::Preface:
    case State::Answering:
    case State::Polling:
    case State::Closed:
        return false;
    }
    return false;
}

void Connection::read_some() {
    if (state_ == State::Preface && !read_preface())
        return;
    bool is_drained = false;
    for (int i = 0; i < kReadsPerTurn; ++i) {
        if (state_ == State::Closed)
            return;
        if (!wants_input())
            return leave_unread(is_drained);
        if (exchange_ && !exchange_->stash.empty()) { // came before, and had to wait
            std::string stash = std::move(exchange_->stash);
            exchange_->stash.clear();
            take(stash);
            continue;
        }
        if (is_drained)
            return;
        const std::span<char> buffer = worker().read_buffer();
        const Received got = receive_some(buffer);
        switch (got.state) {
        case Received::State::Bytes:
            // An end that came with the bytes has had its edge, and has still to be read.
            is_drained = got.is_all && !is_end_due_;
            if (is_drained)
                has_unread_ = false;
            worker().counters().received_bytes.add(got.size);
            take(buffer.first(got.size));
            break;
        case Received::State::WouldBlock:
            has_unread_ = false;
            return;
        case Received::State::End:
            return on_end();
        case Received::State::Broken:
            return on_broken();
        }
    }
    if (state_ != State::Closed)
        read_in_next_turn();
}

// What has come must wait until the request before it is answered.
void Connection::leave_unread(bool is_drained) {
    if (is_drained)
        return;
    has_unread_ = true;
    // Too many replies wait: they go out at the end of this turn, or when the socket takes them.
    if (state_ == State::Streaming && !subscriber_->is_stalled())
        read_in_next_turn();
    // Nobody may be there any more to hear the answer that is being waited for.
    if (state_ == State::Polling && (peer_ended_ || is_broken(socket_.get())))
        drop();
}

void Connection::read_in_next_turn() {
    if (!reads_again_)
        worker().run_again(*this);
    reads_again_ = true;
}

void Connection::take(std::span<char> bytes) {
    switch (state_) {
    case State::Idle:
    case State::Head:
    case State::Body:
        return feed({bytes.data(), bytes.size()});
    case State::Streaming:
        return hear(bytes);
    default:
        return; // Flushing, Lingering: dropped
    }
}

// What a subscriber says; nothing where its transport does not listen.
void Connection::hear(std::span<char> bytes) {
    if (inbound_)
        inbound_->receive(bytes, *this);
}

// The peer will send no more.
void Connection::on_end() {
    peer_ended_ = true;
    has_unread_ = false;
    const bool has_answer = exchange_ && exchange_->out_pending() > 0;
    if (state_ == State::Body && !has_answer)
        return refuse_body(http::problem("bad_request", "the body ended too early"));
    if (state_ == State::Lingering || !has_answer)
        return drop();
    close_after_out();
}

ssize_t Connection::write(const iovec* pieces, int count) {
    if (state_ == State::Closed)
        return -1;
    return on_sent(tls_ ? tls_->stream.send(pieces, count)
                        : send_pieces(socket_.get(), pieces, count));
}

ssize_t Connection::on_sent(ssize_t sent) {
    if (sent < 0) {
        drop();
        return -1;
    }
    worker().counters().sent_bytes.add(static_cast<uint64_t>(sent));
    return sent;
}

void Connection::finish() {
    if (state_ == State::Closed || state_ == State::Lingering || !say_end())
        return;
    shutdown_sending(socket_.get());
    enter(State::Lingering);
    arm(kLingerMs);
    if (peer_ended_)
        drop();
}

// ---- time

void Connection::on_deadline() {
    const auto& limits = worker().config().limits;
    switch (state_) {
    case State::Preface:
        note(Limit::HeaderTimeout);
        return drop();
    case State::Idle:
        if (exchange_ && exchange_->out_pending() > 0) {
            note(Limit::SendTimeout);
            return drop();
        }
        if (is_shaking())
            count_handshake(HandshakeEnd::Timeout);
        note(is_fresh_ ? Limit::HeaderTimeout : Limit::IdleTimeout);
        return drop();
    case State::Head:
        note(Limit::HeaderTimeout);
        return send_problem(http::problem("timeout", "the request's head did not come within "
                                                     "'header_timeout'"),
                            true);
    case State::Body:
        note(Limit::BodyTimeout);
        return refuse_body(
            http::problem("timeout", "the request's body did not come within 'body_timeout'"));
    case State::Polling:
        return static_cast<PollSubscriber&>(*subscriber_).on_timeout();
    case State::Streaming:
        return on_heartbeat();
    case State::Answering:
        return arm(limits.send_timeout);
    case State::Flushing:
        note(Limit::SendTimeout);
        return drop();
    case State::Lingering:
        return drop();
    case State::Closed:
        return;
    }
}

void Connection::on_heartbeat() {
    Subscriber& stream = *subscriber_;
    arm(stream.heartbeat_every());
    // Who still has to take earlier bytes is not asked for a sign of life: send_timeout looks
    // after that.
    if (!stream.takes_heartbeat())
        return;
    if (inbound_ && !inbound_->on_heartbeat()) {
        note(Limit::Heartbeat);
        return drop();
    }
    stream.heartbeat();
}

void Connection::go_away(uint32_t retry_ms) {
    const Farewell farewell{Farewell::Why::GoingAway, retry_ms};
    switch (state_) {
    case State::Preface:
        return drop();
    case State::Idle:
        if (tls_ && tls_->stream.has_unsent())
            return finish();
        if (!exchange_ || exchange_->out_pending() == 0)
            drop();
        return;
    case State::Polling:
    case State::Streaming:
        return say_farewell(farewell);
    default: // the answer that is under way says `Connection: close`
        if (exchange_)
            exchange_->request.keep_alive = false;
        return;
    }
}

void Connection::say_farewell(const Farewell& farewell) {
    subscriber_->close(farewell);
    // A reader that stopped does not hear it; the linger ends it all the same.
    if (state_ == State::Streaming) {
        enter(State::Flushing);
        arm(kLingerMs);
    }
}

// ---- what the client of a stream does

void Connection::send_control(std::string_view frame) {
    if (state_ == State::Streaming)
        subscriber_->control(frame);
}

void Connection::close_with(std::string_view frame) {
    if (state_ != State::Streaming)
        return;
    subscriber_->close_with(frame);
    if (state_ == State::Streaming) { // not all of it could be written
        enter(State::Flushing);
        arm(worker().config().limits.send_timeout);
    }
}

// A limit that this connection has reached.
void Connection::note(Limit limit) {
    counters().hit(limit, to_text(client()));
}

Counters& Connection::counters() const {
    return worker().counters();
}

} // namespace fanhorn
