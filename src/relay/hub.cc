// SPDX-License-Identifier: Apache-2.0
#include "relay/hub.h"

#include <algorithm>
#include <utility>

namespace fanhorn {

static bool is_same(const Filter* left, const Filter* right) {
    return left == right || (left && right && left->text() == right->text());
}

Feed* Channel::find_feed(const Encoding& encoding, const Filter* filter) const {
    Feed* feed = first_feed();
    while (feed && (&feed->encoding() != &encoding || !is_same(feed->filter(), filter)))
        feed = feed->next_of_channel.get();
    return feed;
}

Feed& Channel::feed(Encoding& encoding, const FilterRef& filter, uint64_t floor) {
    if (Feed* found = find_feed(encoding, filter.get()))
        return *found;
    auto made = std::make_unique<Feed>(*this, encoding, filter, floor);
    made->next_of_channel = std::move(feeds_);
    feeds_ = std::move(made);
    return *feeds_;
}

void Channel::drop_feed(Feed& feed) {
    std::unique_ptr<Feed>* place = &feeds_;
    while (place->get() != &feed)
        place = &(*place)->next_of_channel;
    *place = std::move(feed.next_of_channel);
}

Hub::~Hub() {
    CHECK(channels_.empty()); // the connections go first
}

BrokerEnd& Hub::add_broker(Broker& broker, Mailbox& box) {
    auto end = std::make_unique<BrokerEnd>();
    end->broker = &broker;
    end->hub = this;
    end->worker = broker.add_worker(box);
    end->epoch = broker.pushed().epoch;
    ends_.push_back(std::move(end));
    return *ends_.back();
}

void Hub::configure(std::shared_ptr<const Rules> rules) {
    static const ChannelSettings kNoSection;
    for (const auto& channel : channels_) {
        const ChannelSettings* settings = settings_of(*channel, *rules);
        channel->set_settings(settings ? *settings : kNoSection);
        if (!settings)
            end_members(*channel, UINT64_MAX, Subscription::Ending::Unknown);
    }
    rules_ = std::move(rules);
}

const ChannelSettings* Hub::settings_of(const Channel& channel, const Rules& rules) const {
    return is_wildcard(channel.name())
               ? rules.settings_for_wildcard(wildcards_.find(channel.name())->pattern)
               : rules.settings_for(channel.name());
}

// All that were placed before `seq`.
void Hub::end_members(Channel& channel, uint64_t seq, Subscription::Ending ending) {
    for (Subscription* member = channel.members.front(); member;) {
        Subscription* next = channel.members.next(*member);
        if (member->placed_at < seq) {
            member->ending = ending;
            member->subscriber->on_ending(*member);
        }
        member = next;
    }
}

void Hub::retire(Subscription& subscription) {
    subscription.feed->put_away(subscription);
    subscription.place = Subscription::Place::Gone;
    retired_.push_back(subscription);
}

void Hub::reap() {
    while (Subscription* subscription = retired_.pop_front())
        leave(*subscription);
}

std::vector<Position> Hub::pushed() const {
    std::vector<Position> pushed;
    for (const auto& end : ends_)
        pushed.push_back(end->broker->pushed());
    return pushed;
}

void Hub::deliver(Mailbox::Batch& batch, const std::vector<Position>& pushed) {
    for (Mail& mail : batch.mail) {
        if (mail.message)
            deliver_message(mail.message);
        else
            deliver_notice(*mail.notice);
    }
    for (const auto& [channel, seq] : batch.marks) {
        counters_.hit(Limit::MailboxBytes);
        lose(channel, seq);
    }
    for (size_t i = 0; i < ends_.size(); ++i) {
        ends_[i]->epoch = pushed[i].epoch;
        ends_[i]->delivered = std::max(ends_[i]->delivered, pushed[i].seq);
    }
}

// The channel, where its last subscriber has not gone meanwhile, and the wildcards of its section
// that match it.
template <typename Visit> void Hub::each_channel_of(std::string_view name, Visit visit) {
    if (const auto found = channels_.find(name); found != channels_.end())
        visit(**found);
    if (wildcards_.empty())
        return;
    const ChannelSettings* settings = rules_->settings_for(name);
    wildcards_.each_match(name, [&](const Wildcard& wildcard) {
        if (settings == &wildcard.channel->settings())
            visit(*wildcard.channel);
    });
}

void Hub::deliver_message(const MessageRef& message) {
    each_channel_of(message->channel, [&](Channel& channel) {
        if (message->position.seq <= channel.wanted_from)
            return; // of an earlier interest in the channel
        for (Feed* feed = channel.first_feed(); feed; feed = feed->next_of_channel.get())
            feed->append(message);
        channel.end().delivered = message->position.seq;
    });
}

void Hub::deliver_notice(Notice& notice) {
    if (notice.kind == Notice::Kind::Task) {
        const auto task = std::move(notice.task); // what it holds goes with it, not with the batch
        return task();
    }
    if (notice.kind == Notice::Kind::Lost)
        return lose(notice.channel, notice.seq);
    const auto found = channels_.find(std::string_view(notice.channel));
    if (found == channels_.end() || notice.seq <= (*found)->wanted_from)
        return;
    end_members(**found, notice.seq, Subscription::Ending::Deleted);
}

// Who is just there may be of another epoch, whose last seq was the first of this one's holes: a
// look at the history costs little, and says so.
void Hub::lose(const std::string& name, uint64_t seq) {
    each_channel_of(name, [&](Channel& channel) {
        if (seq < channel.wanted_from)
            return;
        for (Feed* feed = channel.first_feed(); feed; feed = feed->next_of_channel.get())
            feed->lose(seq);
    });
}

bool Hub::flush(size_t budget) {
    constexpr size_t kSlice = 128; // of one feed, before the next one has its turn
    while (budget > 0 && !dirty_.empty()) {
        Feed& feed = *dirty_.pop_front();
        budget -= flush_feed(feed, std::min(budget, kSlice));
        if (feed.has_due() && !feed.dirty.is_linked())
            dirty_.push_back(feed);
    }
    while (budget > 0 && !ready_.empty()) {
        ready_.pop_front()->flush();
        --budget;
    }
    if (has_due())
        return true;
    ++turn_;
    while (Feed* feed = swollen_.pop_front())
        feed->trim();
    return false;
}

size_t Hub::flush_feed(Feed& feed, size_t budget) {
    size_t used = 0;
    while (used < budget) {
        Subscription* subscription = feed.next_due();
        if (!subscription)
            break;
        const size_t batched = writer_ ? flush_batch(feed, budget - used) : 0;
        used += std::max<size_t>(batched, 1);
        if (batched == 0)
            subscription->subscriber->flush();
        CHECK(feed.next_due() != subscription); // or we would never end
    }
    return used;
}

// The first of the due ones that are all sent the same bytes, by one call. How many; 0 when they
// are too few, or their bytes too scattered, to be worth it.
size_t Hub::flush_batch(Feed& feed, size_t budget) {
    constexpr size_t kMin = 2;
    const uint64_t from = feed.next_due()->ordinal;
    if (from < feed.first() || from >= feed.next() || feed.backlog().has_selective())
        return 0;
    iovec pieces[2];
    uint64_t end = from;
    if (feed.backlog().gather(end, kNoConnection, pieces, 2) != 1 || end != feed.next())
        return 0;
    Subscriber* subscribers[BatchWriter::kMax];
    Sink* sinks[BatchWriter::kMax];
    size_t count = 0;
    for (Subscription* each = feed.next_due(); each && count < std::min(budget, BatchWriter::kMax);
         each = feed.due_after(*each)) {
        if (each->ordinal != from || !each->subscriber->takes_batch())
            break;
        subscribers[count] = each->subscriber;
        sinks[count++] = &each->subscriber->sink();
    }
    if (count < kMin)
        return 0;
    ssize_t results[BatchWriter::kMax];
    writer_->write({sinks, count}, pieces[0], {results, count});
    for (size_t i = 0; i < count; ++i)
        if (subscribers[i]->takes_batch()) // nothing has ended it meanwhile
            subscribers[i]->on_batch(pieces[0].iov_len, results[i]);
    return count;
}

void Hub::tick(Millis send_timeout) {
    const Millis now = clock_.now();
    uint64_t stalled = 0;
    for (Subscriber* subscriber = stalled_.front(); subscriber;) {
        Subscriber* next = stalled_.next(*subscriber);
        subscriber->on_stalled(now, send_timeout);
        subscriber = next;
        ++stalled;
    }
    counters_.stalled.set(stalled);
}

std::vector<Sink*> Hub::furthest_behind(size_t share, std::vector<Behind> others) const {
    constexpr size_t kMin = 16;
    std::vector<Behind> all = std::move(others);
    for (Subscriber* each = stalled_.front(); each; each = stalled_.next(*each))
        all.push_back({&each->sink(), each->bytes_behind()});
    const size_t count = std::min(all.size(), std::max(kMin, all.size() / share));
    std::partial_sort(all.begin(), all.begin() + static_cast<ptrdiff_t>(count), all.end(),
                      [](const Behind& a, const Behind& b) { return a.bytes > b.bytes; });
    std::vector<Sink*> furthest;
    for (size_t i = 0; i < count; ++i)
        furthest.push_back(all[i].sink);
    return furthest;
}

std::unique_ptr<Backlog> Hub::take_backlog(uint64_t first) {
    if (spare_.empty())
        return std::make_unique<Backlog>(first);
    std::unique_ptr<Backlog> backlog = std::move(spare_.back());
    spare_.pop_back();
    backlog->restart(first);
    return backlog;
}

void Hub::give_backlog(std::unique_ptr<Backlog> backlog) {
    if (!backlog || spare_.size() >= kSpareBacklogs)
        return;
    backlog->restart(0); // lets go of what is in it
    spare_.push_back(std::move(backlog));
}

bool Hub::has_room_for(const Filter& filter, const Encoding& encoding,
                       const std::vector<std::string>& channels, size_t limit) const {
    return std::all_of(channels.begin(), channels.end(), [&](const std::string& name) {
        const auto found = channels_.find(std::string_view(name));
        if (found == channels_.end() || (*found)->find_feed(encoding, &filter))
            return true;
        size_t count = 0;
        for (Feed* feed = (*found)->first_feed(); feed; feed = feed->next_of_channel.get())
            count += feed->filter() ? 1 : 0;
        return count < limit;
    });
}

Channel& Hub::make_channel(BrokerEnd& end, const std::string& name,
                           const ChannelSettings& settings) {
    Channel& channel = **channels_.insert(std::make_unique<Channel>(end, name, settings)).first;
    if (is_wildcard(name))
        wildcards_.insert(
            std::make_unique<Wildcard>(Wildcard{std::move(*Pattern::parse(name)), &channel}));
    if (observer_)
        observer_->on_channel(name, true);
    return channel;
}

Channel& Hub::enter(Subscription& subscription, Encoding& encoding, const std::string& name,
                    BrokerEnd& end, const ChannelSettings& settings, const Start& start,
                    const ChannelStart& channel_start, const FilterRef& filter) {
    const auto found = channels_.find(std::string_view(name));
    Channel* channel = found == channels_.end() ? nullptr : found->get();
    if (!channel) {
        channel = &make_channel(end, name, settings);
        channel->audience = channel_start.audience;
        channel->wanted_from = start.head;
    }
    const uint64_t floor = std::max(end.delivered, channel->wanted_from);
    subscription.placed_at = start.head;
    channel->feed(encoding, filter, floor).enter(subscription);
    channel->members.push_back(subscription);
    counters_.subscriptions.add(1);
    const auto use = static_cast<size_t>(encoding.use());
    if (use < channel->audience->count.size())
        channel->audience->count[use].fetch_add(1, std::memory_order_relaxed);
    return *channel;
}

void Hub::decline(BrokerEnd& end, const std::vector<std::string>& channels) const {
    for (const std::string& name : channels)
        if (!channels_.contains(std::string_view(name)))
            end.broker->unsubscribe(end.worker, name);
}

void Hub::leave(Subscription& subscription) {
    Feed& feed = *subscription.feed;
    Channel& channel = feed.channel();
    const auto use = static_cast<size_t>(feed.encoding().use());
    if (use < channel.audience->count.size())
        channel.audience->count[use].fetch_sub(1, std::memory_order_relaxed);
    counters_.subscriptions.subtract(1);
    feed.leave(subscription);
    subscription.of_channel.unlink();
    if (feed.members() == 0)
        channel.drop_feed(feed);
    if (!channel.members.empty())
        return;
    channel.end().broker->unsubscribe(channel.end().worker, channel.name());
    if (observer_)
        observer_->on_channel(channel.name(), false);
    if (is_wildcard(channel.name()))
        wildcards_.erase(*wildcards_.find(channel.name()));
    channels_.erase(channels_.find(channel.key()));
}

} // namespace fanhorn
