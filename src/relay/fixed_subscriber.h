// SPDX-License-Identifier: Apache-2.0
// A subscriber whose channels are settled when it begins: placing, replay and cursors of all of
// them together, so that one position is its place in every one.
#pragma once

#include "relay/subscriber.h"

#include <memory>

namespace fanhorn {

class FixedSubscriber : public Subscriber {
  public:
    FixedSubscriber(Sink& sink, const Wish& wish);
    ~FixedSubscriber() override;

    size_t channel_count() const { return count_; }
    Position position() const override;
    void on_pending(Subscription& subscription) override;
    size_t bytes_behind() const override;

  protected:
    // Asks the broker: on_start follows, for place() with all subscriptions in their feeds, for
    // locate() with none.
    void place(Wish&& wish);
    void locate(const Wish& wish);
    virtual void on_start(Start start) = 0;
    virtual void on_page(Page page) = 0;

    void refuse(Start::Status status);
    void read(Stretch stretch);
    // Live from `seq` on, if all feeds reach back that far; else false: history is newer.
    bool join(uint64_t seq);
    // Out of the feeds; what to read to go on behind the own position.
    Stretch put_away_all();
    // That of its feeds; null for none.
    const Filter* filter();
    bool is_caught_up() const;
    // How many subscriptions have not ended.
    size_t remaining() const;
    // Those that have not ended. None: one of them is in between.
    std::optional<HandedPart> handed_part() const;
    Subscription& subscription(size_t index) {
        return several_ ? several_->subscriptions[index] : first_;
    }
    const Subscription& subscription(size_t index) const {
        return several_ ? several_->subscriptions[index] : first_;
    }
    // The held subscription whose next frame has the lowest seq, or null.
    Subscription* next_pending();
    // Of those that have something to get, any; null when none.
    Subscription* first_pending() { return several_ ? several_->pending.front() : nullptr; }
    Subscription* after_pending(Subscription& each) { return several_->pending.next(each); }
    void retire_all() override;

  private:
    // What a subscriber of several channels has besides.
    struct Several {
        std::unique_ptr<Subscription[]> subscriptions;
        List<Subscription, &Subscription::hook> pending; // Held ones, that have something to get
    };
    // How an answer finds us, or that we are gone.
    struct Line : AtomicCount {
        explicit Line(FixedSubscriber* asker) : subscriber(asker) {}
        FixedSubscriber* subscriber;
        Wish wish; // while it is being placed
    };

    void enter_feeds(const Wish& wish, const Start& start);

    std::unique_ptr<Several> several_;
    Ref<Line> line_;     // while an answer may come
    Subscription first_; // of a single one
    uint32_t count_ = 0;
};

} // namespace fanhorn
