// SPDX-License-Identifier: Apache-2.0
// One client of the relay: cursors in feeds, and what is on its way out besides.
#pragma once

#include "relay/feed.h"
#include "relay/handover.h"
#include "relay/outbox.h"
#include "relay/sink.h"

#include <optional>
#include <string>
#include <vector>

namespace fanhorn {

// What a subscription request settled before the broker is asked.
struct Wish {
    std::vector<std::string> channels;
    std::vector<const ChannelSettings*> settings; // one a channel
    BrokerEnd* end = nullptr;
    Since since;
    Encoding* encoding = nullptr;
    FilterRef filter; // null: everything
    ConnectionId connection{};
    Millis heartbeat = 25'000;
};

// Common to all who subscribe. Owned by the connection that is its Sink, which destroys it at the
// end of a turn, never inside a call from here.
class Subscriber {
  public:
    enum class State : uint8_t {
        Placing,   // the broker has been asked
        Replaying, // reads history
        Live,      // cursors in feeds
        Closing,   // last bytes on their way
        Closed,
    };

    // `is_single`: it has one subscription, now and ever.
    Subscriber(Sink& sink, const Wish& wish, bool is_single);
    virtual ~Subscriber() = default;
    Subscriber(const Subscriber&) = delete;
    Subscriber& operator=(const Subscriber&) = delete;

    State state() const { return state_; }
    const ConnectionId& connection() const { return connection_; }
    bool is_single() const { return is_single_; }
    Sink& sink() const { return sink_; }
    const Encoding& encoding() const { return encoding_; }
    // What its client has: what it may be told as its position.
    virtual Position position() const = 0;

    // The socket takes bytes again.
    virtual void on_writable() = 0;
    // Sends what the feeds have, as far as the socket takes it.
    virtual void flush() = 0;
    // Whether it is sent what the backlog has from its only cursor on, and nothing else: then a
    // batch may write that for it and tell it the result (as Sink::write has it) of so many bytes.
    virtual bool takes_batch() const { return false; }
    virtual void on_batch(size_t bytes, ssize_t result);
    // That subscription, one of several, has something to get and is held.
    virtual void on_pending(Subscription& subscription) = 0;
    // About how many bytes that are in memory wait for it.
    virtual size_t bytes_behind() const { return outbox_.bytes(); }
    // Its channel ends (subscription.ending says why), once it has caught up.
    virtual void on_ending(Subscription& subscription) = 0;
    // About once a second while its socket is full.
    virtual void on_stalled(Millis now, Millis send_timeout) = 0;
    // What it is, while nothing moves; changes nothing. None: it cannot be told now.
    virtual std::optional<HandedSubscriber> hand_over() const = 0;
    // Ends from our side: last words, then Sink::finish.
    virtual void close(const Farewell& farewell);
    // The socket is gone: nothing is sent any more.
    void abandon() { enter(State::Closed); }

    // Of those who are sent a stream:
    // A frame of the transport itself (a pong), between messages. Dropped when more than
    // kMaxControlBytes wait: who does not read gets no pongs (RFC 6455 section 5.5.3 lets us).
    void control(std::string_view frame);
    // `frame` is the last thing sent; then the connection is closed.
    void close_with(std::string_view frame);
    // What keeps the connection alive and tells the position; nothing unless takes_heartbeat().
    void heartbeat();
    // Whether its socket is full: on_writable() goes on.
    bool is_stalled() const { return stalled_since_ != 0; }
    // Whether it is live and its socket is not full.
    bool takes_heartbeat() const { return state_ == State::Live && !is_stalled(); }
    Millis heartbeat_every() const { return heartbeat_ms_; }

    Hook turn; // on the hub's list of ready or stalled ones

  protected:
    void enter(State state);
    // It ends: out of all feeds.
    virtual void retire_all() = 0;
    Hub& hub() const { return *end_->hub; }

    void stall();
    // False when something is left, or the sink broke.
    bool send_outbox();
    // The last of a frame with that seq has gone, of which an earlier write took a part.
    virtual void on_rest_sent(uint64_t) {}
    // More than that is not rendered for another process, which reads history instead.
    static constexpr size_t kMaxHandedBytes = 1 << 20;
    // Whether its frames and its cursor can be told: not in between.
    bool is_settled(const Subscription& subscription) const;
    static bool is_overtaken(const Subscription& subscription) {
        return subscription.feed && subscription.place != Subscription::Place::Young &&
               subscription.ordinal < subscription.feed->first();
    }
    static bool runs_over(const Subscription& subscription) {
        return subscription.feed && subscription.feed->runs_over(subscription);
    }
    // Counts that it runs away, once until `was_noted_` is cleared.
    void note_slow(SlowConsumer policy);
    // Ends what has been stalled for too long. Whether it did.
    bool end_if_stuck(Millis now, Millis send_timeout);

    Sink& sink_;
    Encoding& encoding_;
    BrokerEnd* end_;
    Position position_;        // the last one wholly written
    Millis stalled_since_ = 0; // when the socket last took bytes but not all; 0: it does
    ConnectionId connection_;

  private:
    static constexpr size_t kMaxControlBytes = 4096;
    static constexpr Millis kCloseGrace = 5000; // for a full socket to take the last words

  protected:
    Outbox outbox_;

  private:
    const uint32_t heartbeat_ms_;
    State state_ = State::Placing;
    const bool is_single_;

  protected:
    bool was_noted_ = false; // the slow consumer was counted and not yet told
};

} // namespace fanhorn
