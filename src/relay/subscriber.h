// SPDX-License-Identifier: Apache-2.0
// One client of the relay: cursors in feeds, and what is on its way out besides.
#pragma once

#include "relay/feed.h"
#include "relay/outbox.h"
#include "relay/sink.h"

#include <memory>
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
    ConnectionId connection{};
    Millis heartbeat = 25'000;
};

// Common to streams and polls: placing, reading from history, going live. Owned by the connection
// that is its Sink, which destroys it at the end of a turn, never inside a call from here.
class Subscriber {
  public:
    enum class State : uint8_t {
        Placing,   // the broker has been asked
        Replaying, // reads history
        Live,      // cursors in feeds
        Closing,   // last bytes on their way
        Closed,
    };

    Subscriber(Sink& sink, const Wish& wish);
    virtual ~Subscriber();
    Subscriber(const Subscriber&) = delete;
    Subscriber& operator=(const Subscriber&) = delete;

    State state() const { return state_; }
    const ConnectionId& connection() const { return connection_; }
    bool is_single() const { return !several_; }
    size_t channel_count() const { return count_; }
    // What its client has: what it may be told as its position.
    Position position() const;

    // The socket takes bytes again.
    virtual void on_writable() = 0;
    // Sends what the feeds have, as far as the socket takes it.
    virtual void flush() = 0;
    // Whether it is sent what the backlog has from its only cursor on, and nothing else: then a
    // batch may write that for it and tell it the result (as Sink::write has it) of so many bytes.
    virtual bool takes_batch() const { return false; }
    virtual void on_batch(size_t bytes, ssize_t result);
    Sink& sink() const { return sink_; }
    // That subscription has something to get; it is on pending_ (several channels) or it is the
    // only one, held.
    void on_pending(Subscription& subscription);
    // Its channel ends (subscription.ending says why), once it has caught up.
    virtual void on_ending(Subscription& subscription) = 0;
    // About once a second while its socket is full.
    virtual void on_stalled(Millis now, Millis send_timeout) = 0;
    // Ends from our side: last words, then Sink::finish.
    virtual void close(const Farewell& farewell) = 0;
    // The socket is gone: nothing is sent any more.
    void abandon() { enter(State::Closed); }

    Hook turn; // on the hub's list of ready or stalled ones

  protected:
    // Asks the broker: on_start follows, for place() with all subscriptions in their feeds, for
    // locate() with none.
    void place(Wish wish);
    void locate(const Wish& wish);
    virtual void on_start(Start start) = 0;
    virtual void on_page(Page page) = 0;

    void enter(State state);
    void read(Stretch stretch);
    // Live from `seq` on, if all feeds reach back that far; else false: history is newer.
    bool join(uint64_t seq);
    // Out of the feeds; what to read to go on behind the own position.
    Stretch put_away_all();
    // How many subscriptions have not ended.
    size_t remaining() const;
    Subscription& subscription(size_t index) {
        return several_ ? several_->subscriptions[index] : first_;
    }
    // The held subscription whose next frame has the lowest seq, or null.
    Subscription* next_pending();
    // Of those that have something to get, any; null when none.
    Subscription* first_pending() { return several_ ? several_->pending.front() : nullptr; }
    Subscription* after_pending(Subscription& each) { return several_->pending.next(each); }

    Hub& hub() const { return *end_.hub; }

    Sink& sink_;
    Encoding& encoding_;
    BrokerEnd& end_;
    Position position_;        // the last one wholly written
    Millis stalled_since_ = 0; // when the socket last took bytes but not all; 0: it does
    ConnectionId connection_;

  private:
    // What a subscriber of several channels has besides.
    struct Several {
        std::unique_ptr<Subscription[]> subscriptions;
        List<Subscription, &Subscription::hook> pending; // Held ones, that have something to get
    };
    // How an answer finds us, or that we are gone.
    struct Line : AtomicCount {
        explicit Line(Subscriber* asker) : subscriber(asker) {}
        Subscriber* subscriber;
        Wish wish; // while it is being placed
    };

    void enter_feeds(const Wish& wish, const Start& start);
    void refuse(Start::Status status);
    bool is_caught_up() const;

    std::unique_ptr<Several> several_;
    Ref<Line> line_;     // while an answer may come
    Subscription first_; // of a single one
    uint32_t count_ = 0;

  protected:
    State state_ = State::Placing; // the last: what derives goes on in its word
};

} // namespace fanhorn
