// SPDX-License-Identifier: Apache-2.0
#include "relay/fixed_subscriber.h"

#include "relay/hub.h"

#include <algorithm>

namespace fanhorn {

FixedSubscriber::FixedSubscriber(Sink& sink, const Wish& wish)
    : Subscriber(sink, wish, wish.channels.size() == 1),
      count_(static_cast<uint32_t>(wish.channels.size())) {
    CHECK(count_ > 0);
    if (count_ == 1)
        return;
    several_ = std::make_unique<Several>();
    several_->subscriptions = std::make_unique<Subscription[]>(count_);
}

FixedSubscriber::~FixedSubscriber() {
    if (line_)
        line_->subscriber = nullptr;
    for (size_t i = 0; i < count_; ++i)
        if (subscription(i).feed)
            hub().leave(subscription(i));
}

const Filter* FixedSubscriber::filter() {
    for (size_t i = 0; i < count_; ++i)
        if (subscription(i).feed)
            return subscription(i).feed->filter();
    return nullptr; // and no channel either
}

void FixedSubscriber::retire_all() {
    for (size_t i = 0; i < count_; ++i)
        if (subscription(i).feed && subscription(i).place != Subscription::Place::Gone)
            hub().retire(subscription(i));
}

Position FixedSubscriber::position() const {
    if (state() != State::Live || !is_caught_up() || position_.epoch != end_->epoch)
        return position_;
    return {position_.epoch, std::max(position_.seq, end_->delivered)};
}

bool FixedSubscriber::is_caught_up() const {
    if (stalled_since_ != 0)
        return false; // a gap or an end may be on its way
    if (!is_single())
        return several_->pending.empty();
    return first_.place == Subscription::Place::Young ||
           (first_.place == Subscription::Place::Waiting && first_.ordinal == first_.feed->next());
}

void FixedSubscriber::place(Wish&& wish) {
    CHECK(state() == State::Placing);
    line_ = make_ref<Line>(this);
    line_->wish = std::move(wish);
    end_->broker->subscribe(end_->worker, line_->wish.channels, line_->wish.since,
                            [line = line_, end = end_](Start start) {
                                FixedSubscriber* subscriber = line->subscriber;
                                const bool is_placed = start.status == Start::Status::Placed;
                                if (!subscriber || subscriber->state() != State::Placing) {
                                    if (is_placed)
                                        end->hub->decline(*end, line->wish.channels);
                                    return;
                                }
                                if (!is_placed) {
                                    end->hub->decline(*end, line->wish.channels);
                                    return subscriber->refuse(start.status);
                                }
                                subscriber->enter_feeds(line->wish, start);
                                subscriber->on_start(std::move(start));
                            });
}

void FixedSubscriber::locate(const Wish& wish) {
    CHECK(state() == State::Placing);
    line_ = make_ref<Line>(this);
    end_->broker->locate(wish.channels, wish.since, [line = line_](Start start) {
        FixedSubscriber* subscriber = line->subscriber;
        if (!subscriber || subscriber->state() != State::Placing)
            return;
        if (start.status != Start::Status::Placed)
            return subscriber->refuse(start.status);
        subscriber->on_start(std::move(start));
    });
}

void FixedSubscriber::enter_feeds(const Wish& wish, const Start& start) {
    for (size_t i = 0; i < wish.channels.size(); ++i) {
        Subscription& subscription = this->subscription(i);
        subscription.subscriber = this;
        hub().enter(subscription, encoding_, wish.channels[i], *end_, *wish.settings[i], start,
                    start.channels[i], wish.filter);
    }
}

void FixedSubscriber::refuse(Start::Status status) {
    enter(State::Closed);
    sink_.refuse(status);
}

void FixedSubscriber::read(Stretch stretch) {
    if (!line_)
        line_ = make_ref<Line>(this);
    end_->broker->read(std::move(stretch), [line = line_](Page page) {
        if (FixedSubscriber* subscriber = line->subscriber;
            subscriber && subscriber->state() == State::Replaying)
            subscriber->on_page(std::move(page));
    });
}

bool FixedSubscriber::join(uint64_t seq) {
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

void FixedSubscriber::on_pending(Subscription& subscription) {
    if (is_single())
        return;
    several_->pending.push_back(subscription);
    if (!turn.is_linked())
        hub().add_ready(*this);
}

size_t FixedSubscriber::bytes_behind() const {
    size_t bytes = Subscriber::bytes_behind();
    for (size_t i = 0; i < count_; ++i)
        if (const Subscription& each = subscription(i); each.feed)
            bytes += each.feed->bytes_behind(each);
    return bytes;
}

Stretch FixedSubscriber::put_away_all() {
    Stretch stretch;
    stretch.after = position_.seq; // a later epoch of the broker begins above it
    stretch.epoch = position_.epoch;
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

size_t FixedSubscriber::remaining() const {
    size_t count = 0;
    for (size_t i = 0; i < count_; ++i) {
        const Subscription& subscription = this->subscription(i);
        count += subscription.ending == Subscription::Ending::No ? 1 : 0;
    }
    return count;
}

std::optional<HandedPart> FixedSubscriber::handed_part() const {
    HandedPart part;
    for (size_t i = 0; i < count_; ++i) {
        const Subscription& each = subscription(i);
        if (each.place == Subscription::Place::Gone)
            continue;
        if (!is_settled(each))
            return std::nullopt;
        part.channels.push_back(each.feed->channel().name());
        if (const Filter* filter = each.feed->filter())
            part.filter = filter->text();
    }
    part.position = position_;
    return part;
}

Subscription* FixedSubscriber::next_pending() {
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
