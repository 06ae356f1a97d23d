// SPDX-License-Identifier: Apache-2.0
#include "relay/feed.h"

#include "relay/hub.h"
#include "relay/subscriber.h"

namespace fanhorn {

std::string_view ending_code(Subscription::Ending ending) {
    return ending == Subscription::Ending::Unknown ? "channel_unknown" : "deleted";
}

void Feed::append(const MessageRef& message) {
    const uint64_t seq = message->position.seq;
    CHECK(seq > floor_);
    if (!message->stored && !encoding_.carries_unstored())
        return;
    if (message->tells != MessageKind::Data && !encoding_.carries_presence())
        return;
    if (!wants(*message)) {
        sieve_->newest_skipped = seq;
        return;
    }
    if (!backlog_)
        backlog_ = channel_.hub().take_backlog(next_);
    if (backlog_->turn != channel_.hub().turn()) {
        backlog_->turn = channel_.hub().turn();
        backlog_->turn_begin = next_;
    }
    grow_up(seq, next_);
    const bool is_state = encoding_.makes_patches() && message->is_state();
    backlog_->append(encoding_, message, is_state ? others().state.get() : nullptr,
                     others_ && others_->keeps_messages);
    if (is_state)
        others().state = message;
    next_ = backlog_->next();
    make_due();
    trim(); // settle() leaves a feed with due cursors alone
    settle();
}

void Feed::lose(uint64_t seq) {
    if (backlog_) // of a wildcard: other channels' messages behind it
        floor_ = std::max(floor_, backlog_->at(next_ - 1).seq);
    channel_.hub().give_backlog(std::move(backlog_));
    floor_ = std::max(floor_, seq);
    if (others_)
        others_->state = nullptr;
    grow_up(seq + 1, next_); // those at `seq` too, see Hub::lose
    ++next_;                 // a frame that nobody can have: all cursors are now below first()
    make_due();
}

// A message (or hole) with that seq becomes the frame `ordinal`: who is behind it begins there.
void Feed::grow_up(uint64_t seq, uint64_t ordinal) {
    if (!others_)
        return;
    for (Subscription* subscription = others_->young.front(); subscription;) {
        Subscription* next = others_->young.next(*subscription);
        if (subscription->ordinal < seq) {
            subscription->ordinal = ordinal;
            subscription->hook.unlink();
            wait(*subscription);
        }
        subscription = next;
    }
}

Feed::Others& Feed::others() {
    if (!others_)
        others_ = std::make_unique<Others>();
    return *others_;
}

void Feed::wait(Subscription& subscription) {
    subscription.place = Subscription::Place::Waiting;
    if (subscription.subscriber->is_single())
        waiting_.push_back(subscription);
    else
        others().waiting.push_back(subscription);
}

void Feed::make_due() {
    while (Subscription* subscription = others_ ? others_->waiting.pop_front() : nullptr) {
        hold(*subscription);
        subscription->subscriber->on_pending(*subscription);
    }
    // Constant time, whatever the number; a place is corrected when the cursor is looked at.
    due_.splice_back(waiting_);
    if (!due_.empty() && !dirty.is_linked())
        channel_.hub().add_dirty(*this);
}

void Feed::trim() {
    if (!backlog_)
        return;
    const size_t limit = channel_.settings().slow_consumer_limit;
    const bool is_early = has_due() || channel_.hub().has_ready();
    // Another frame like the first may be in a stopped reader's outbox, half sent.
    const auto is_over = [&] {
        return backlog_->bytes() + backlog_->at(backlog_->first()).cost() > limit;
    };
    while (backlog_->first() + 1 < next_ && is_over()) {
        if (is_early && backlog_->first() >= backlog_->turn_begin &&
            backlog_->bytes() <= kDueBytes) {
            if (!swollen.is_linked())
                channel_.hub().add_swollen(*this);
            return;
        }
        floor_ = backlog_->drop_front();
    }
}

void Feed::settle() {
    if (!backlog_ || has_due())
        return;
    if (held_ != 0)
        return trim();
    floor_ = backlog_->at(next_ - 1).seq;
    channel_.hub().give_backlog(std::move(backlog_));
    batch = nullptr;
}

void Feed::enter(Subscription& subscription) {
    subscription.feed = this;
    subscription.place = Subscription::Place::Away;
    ++members_;
}

void Feed::leave(Subscription& subscription) {
    put_away(subscription);
    subscription.feed = nullptr;
    --members_;
    settle();
}

void Feed::join(Subscription& subscription, uint64_t seq) {
    CHECK(subscription.place == Subscription::Place::Away);
    CHECK(seq >= floor_);
    if (seq > channel_.end().delivered) {
        subscription.ordinal = seq;
        subscription.place = Subscription::Place::Young;
        others().young.push_back(subscription);
        return;
    }
    subscription.ordinal = backlog_ ? backlog_->first_after(seq) : next_;
    if (subscription.ordinal == next_)
        return caught_up(subscription);
    hold(subscription);
    subscription.subscriber->on_pending(subscription);
}

void Feed::hold(Subscription& subscription) {
    subscription.hook.unlink();
    if (subscription.place != Subscription::Place::Held)
        ++held_;
    subscription.place = Subscription::Place::Held;
}

void Feed::caught_up(Subscription& subscription) {
    put_away(subscription);
    wait(subscription);
    settle();
}

void Feed::put_away(Subscription& subscription) {
    if (subscription.place == Subscription::Place::Held)
        --held_;
    subscription.hook.unlink();
    subscription.place = Subscription::Place::Away;
}

bool Feed::runs_over(const Subscription& subscription) const {
    if (subscription.place != Subscription::Place::Held || subscription.ordinal == next_)
        return false;
    if (subscription.ordinal < first())
        return true;
    return backlog().bytes_from(subscription.ordinal) > channel_.settings().slow_consumer_limit;
}

size_t Feed::bytes_behind(const Subscription& subscription) const {
    if (subscription.place != Subscription::Place::Held || first() == next_)
        return 0;
    const uint64_t from = std::clamp(subscription.ordinal, first(), next_);
    return backlog().bytes() * (next_ - from) / (next_ - first());
}

Gap Feed::skip(Subscription& subscription, Position after) const {
    const ChannelSettings& settings = channel_.settings();
    Gap gap{channel_.name(), after, {}, Gap::Why::Overflow};
    subscription.ordinal = next_;
    if (settings.slow_consumer == SlowConsumer::Gap)
        subscription.ordinal = backlog().within(settings.slow_consumer_limit);
    if (subscription.ordinal < next_)
        gap.next = {channel_.end().epoch, backlog().at(subscription.ordinal).seq};
    return gap;
}

} // namespace fanhorn
