// SPDX-License-Identifier: Apache-2.0
#include "relay/subscriber.h"

#include "relay/hub.h"

#include <algorithm>

namespace fanhorn {

Subscriber::Subscriber(Sink& sink, const Wish& wish)
    : sink_(sink), encoding_(*wish.encoding), end_(*wish.end), connection_(wish.connection),
      count_(static_cast<uint32_t>(wish.channels.size())) {
    CHECK(count_ > 0);
    if (count_ == 1)
        return;
    several_ = std::make_unique<Several>();
    several_->subscriptions = std::make_unique<Subscription[]>(count_);
}

Subscriber::~Subscriber() {
    if (line_)
        line_->subscriber = nullptr;
    for (size_t i = 0; i < count_; ++i)
        if (subscription(i).feed)
            hub().leave(subscription(i));
}

void Subscriber::enter(State state) {
    CHECK(state_ != State::Closed || state == State::Closed);
    state_ = state;
    if (state != State::Closed && state != State::Closing)
        return;
    turn.unlink();
    for (size_t i = 0; i < count_; ++i)
        if (subscription(i).feed && subscription(i).place != Subscription::Place::Gone)
            hub().retire(subscription(i));
}

Position Subscriber::position() const {
    if (state_ != State::Live || !is_caught_up() || position_.epoch != end_.epoch)
        return position_;
    return {position_.epoch, std::max(position_.seq, end_.delivered)};
}

bool Subscriber::is_caught_up() const {
    if (stalled_since_ != 0)
        return false; // a gap or an end may be on its way
    if (!is_single())
        return several_->pending.empty();
    return first_.place == Subscription::Place::Young ||
           (first_.place == Subscription::Place::Waiting && first_.ordinal == first_.feed->next());
}

void Subscriber::place(Wish wish) {
    CHECK(state_ == State::Placing);
    line_ = make_ref<Line>(this);
    line_->wish = std::move(wish);
    end_.broker->subscribe(end_.worker, line_->wish.channels, line_->wish.since,
                           [line = line_](Start start) {
                               Subscriber* subscriber = line->subscriber;
                               if (!subscriber || subscriber->state_ != State::Placing)
                                   return;
                               if (start.status != Start::Status::Placed)
                                   return subscriber->refuse(start.status);
                               subscriber->enter_feeds(line->wish, start);
                               subscriber->on_start(std::move(start));
                           });
}

void Subscriber::locate(const Wish& wish) {
    CHECK(state_ == State::Placing);
    line_ = make_ref<Line>(this);
    end_.broker->locate(wish.channels, wish.since, [line = line_](Start start) {
        Subscriber* subscriber = line->subscriber;
        if (subscriber && subscriber->state_ == State::Placing)
            subscriber->on_start(std::move(start));
    });
}

void Subscriber::enter_feeds(const Wish& wish, const Start& start) {
    for (size_t i = 0; i < wish.channels.size(); ++i) {
        Subscription& subscription = this->subscription(i);
        subscription.subscriber = this;
        hub().enter(subscription, encoding_, wish.channels[i], end_, *wish.settings[i], start,
                    start.channels[i]);
    }
}

void Subscriber::refuse(Start::Status status) {
    enter(State::Closed);
    sink_.refuse(status);
}

void Subscriber::read(Stretch stretch) {
    if (!line_)
        line_ = make_ref<Line>(this);
    end_.broker->read(std::move(stretch), [line = line_](Page page) {
        if (Subscriber* subscriber = line->subscriber;
            subscriber && subscriber->state_ == State::Replaying)
            subscriber->on_page(std::move(page));
    });
}

bool Subscriber::join(uint64_t seq) {
    for (size_t i = 0; i < count_; ++i)
        if (subscription(i).feed && seq < subscription(i).feed->floor())
            return false;
    enter(State::Live);
    line_ = nullptr; // nothing is asked any more
    for (size_t i = 0; i < count_; ++i)
        if (subscription(i).feed && subscription(i).ending == Subscription::Ending::No)
            subscription(i).feed->join(subscription(i), seq);
    return true;
}

void Subscriber::on_batch(size_t, ssize_t) {
    CHECK(false); // takes none
}

void Subscriber::on_pending(Subscription& subscription) {
    if (is_single())
        return;
    several_->pending.push_back(subscription);
    if (!turn.is_linked())
        hub().add_ready(*this);
}

Stretch Subscriber::put_away_all() {
    Stretch stretch;
    stretch.after = position_.epoch == end_.epoch ? position_.seq : 0;
    for (size_t i = 0; i < count_; ++i) {
        Subscription& subscription = this->subscription(i);
        if (!subscription.feed || subscription.place == Subscription::Place::Gone)
            continue;
        subscription.feed->put_away(subscription);
        if (subscription.ending == Subscription::Ending::No)
            stretch.parts.push_back({subscription.feed->channel().name(), 0});
    }
    return stretch;
}

size_t Subscriber::remaining() const {
    size_t count = 0;
    for (size_t i = 0; i < count_; ++i) {
        const Subscription& subscription = several_ ? several_->subscriptions[i] : first_;
        count += subscription.ending == Subscription::Ending::No ? 1 : 0;
    }
    return count;
}

Subscription* Subscriber::next_pending() {
    Subscription* lowest = nullptr;
    uint64_t lowest_seq = 0;
    for (Subscription* each = first_pending(); each; each = after_pending(*each)) {
        if (each->ordinal >= each->feed->next())
            continue;
        if (each->ordinal < each->feed->first())
            return each; // overtaken: to be dealt with before anything else
        const uint64_t seq = each->feed->backlog().at(each->ordinal).seq;
        if (!lowest || seq < lowest_seq) {
            lowest = each;
            lowest_seq = seq;
        }
    }
    return lowest;
}

} // namespace fanhorn
