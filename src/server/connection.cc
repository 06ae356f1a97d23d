// SPDX-License-Identifier: Apache-2.0
// The states and the deadlines. HTTP is in connection_http.cc, subscribing in
// connection_subscribe.cc, the socket in socket_connection.cc.
#include "server/connection.h"

#include "base/log.h"
#include "server/worker.h"

namespace fanhorn {

namespace {

constexpr int kReadsPerTurn = 8; // of the worker's buffer, by one connection

} // namespace

Connection::Connection(Ref<ListenerEnd> listener) : listener_(std::move(listener)) {
    worker().counters().connections[static_cast<size_t>(use_)].add(1);
}

Connection::~Connection() {
    if (exchange_ && exchange_->owner)
        *exchange_->owner = nullptr;
    forget_client();
    worker().counters().connections[static_cast<size_t>(use_)].subtract(1);
}

Worker& Connection::worker() const {
    return listener_->worker;
}

const ListenerSettings& Connection::listener() const {
    return listener_->settings;
}

const std::string& Connection::listener_key() const {
    return listener_->key;
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
    if (exchange_)
        exchange_->unread.unlink();
    on_closed();
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

// ---- reading and writing

void Connection::on_writable() {
    if (exchange_ && exchange_->out_pending() > 0)
        flush_out();
    else if (subscriber_)
        subscriber_->on_writable();
    if (state_ == State::Streaming && has_unread_ && wants_input())
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
    case State::Multiplexing:
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
        const std::span<char> buffer = read_buffer();
        const Received got = receive_some(buffer);
        switch (got.state) {
        case Received::State::Bytes:
            is_drained = got.is_all;
            if (is_drained)
                has_unread_ = false;
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
    if (state_ == State::Streaming && !subscriber_->is_stalled() &&
        (!standing_ || standing_->parked.empty()))
        read_in_next_turn();
    // Nobody may be there any more to hear the answer that is being waited for.
    if (state_ == State::Polling && (peer_ended_ || is_cut()))
        drop();
}

std::span<char> Connection::read_buffer() const {
    return worker().read_buffer();
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
    case State::Multiplexing:
    case State::Streaming:
        return hear(bytes);
    default:
        return; // Flushing, Lingering: dropped
    }
}

// What a subscriber says, or frames; nothing where its transport does not listen.
void Connection::hear(std::span<char> bytes) {
    if (inbound_)
        inbound_->receive(bytes, *this);
}

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

ssize_t Connection::on_sent(ssize_t sent) {
    if (sent < 0) {
        drop();
        return -1;
    }
    worker().counters().sent_bytes.add(static_cast<uint64_t>(sent));
    return sent;
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
    case State::Multiplexing:
    case State::Lingering:
        return drop();
    case State::Closed:
        return;
    }
}

void Connection::on_heartbeat() {
    Subscriber& stream = *subscriber_;
    arm(stream.heartbeat_every());
    count_channels();
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
        if (has_unsent())
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

bool Connection::is_leaving() const {
    switch (state_) {
    case State::Multiplexing: // by its GOAWAY
    case State::Flushing:
    case State::Lingering:
    case State::Closed:
        return true;
    default:
        return false;
    }
}

void Connection::say_farewell(const Farewell& farewell) {
    if (state_ == State::Streaming && subscriber_->state() == Subscriber::State::Placing) {
        exchange_->request.keep_alive = false;
        return refuse(Start::Status::Down); // nothing of a stream has been sent, not even a head
    }
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
