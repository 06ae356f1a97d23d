// SPDX-License-Identifier: Apache-2.0
#include "relay/subscriber.h"

#include "relay/hub.h"

namespace fanhorn {

Subscriber::Subscriber(Sink& sink, const Wish& wish, bool is_single)
    : sink_(sink), encoding_(*wish.encoding), end_(wish.end), connection_(wish.connection),
      heartbeat_ms_(static_cast<uint32_t>(wish.heartbeat)), is_single_(is_single) {}

void Subscriber::enter(State state) {
    CHECK(state_ != State::Closed || state == State::Closed);
    state_ = state;
    if (state != State::Closed && state != State::Closing)
        return;
    turn.unlink();
    retire_all();
}

void Subscriber::on_batch(size_t, ssize_t) {
    CHECK(false); // takes none
}

// ---- the socket

void Subscriber::stall() {
    stalled_since_ = hub().clock().now();
    turn.unlink(); // it may have been ready
    hub().add_stalled(*this);
}

bool Subscriber::send_outbox() {
    if (outbox_.empty())
        return true;
    const Outbox::Written written = outbox_.write(sink_);
    if (written.is_broken) {
        abandon();
        return false;
    }
    if (written.seq)
        on_rest_sent(written.seq);
    if (outbox_.empty())
        return true;
    stall();
    return false;
}

bool Subscriber::end_if_stuck(Millis now, Millis send_timeout) {
    const bool is_closing = state_ == State::Closing;
    if (now - stalled_since_ <= (is_closing ? kCloseGrace : send_timeout))
        return false;
    if (!is_closing)
        hub().counters().hit(Limit::SendTimeout);
    abandon();
    sink_.finish();
    return true;
}

void Subscriber::note_slow(SlowConsumer policy) {
    if (was_noted_)
        return;
    was_noted_ = true;
    hub().counters().hit(Limit::SlowConsumerLimit);
    hub().counters().evictions[static_cast<size_t>(policy)].add(1);
}

// ---- another process goes on

bool Subscriber::is_settled(const Subscription& subscription) const {
    return subscription.feed && subscription.ending == Subscription::Ending::No &&
           (subscription.place != Subscription::Place::Young ||
            subscription.ordinal <= end_->delivered);
}

// ---- beside the log

void Subscriber::close(const Farewell& farewell) {
    std::string last;
    encoding_.farewell(last, farewell);
    close_with(last);
}

void Subscriber::close_with(std::string_view frame) {
    if (state_ == State::Closing || state_ == State::Closed)
        return;
    enter(State::Closing);
    outbox_.own() += frame;
    if (send_outbox())
        sink_.finish();
}

void Subscriber::control(std::string_view frame) {
    if (state_ == State::Placing || state_ == State::Closing || state_ == State::Closed ||
        outbox_.own_bytes() > kMaxControlBytes)
        return;
    outbox_.own() += frame;
    if (!is_stalled())
        send_outbox();
}

void Subscriber::heartbeat() {
    if (!takes_heartbeat())
        return;
    position_ = position();
    encoding_.heartbeat(outbox_.own(), position_);
    send_outbox();
}

} // namespace fanhorn
