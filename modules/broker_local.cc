// SPDX-License-Identifier: Apache-2.0
#include "modules/broker_local.h"

#include "base/random.h"
#include "modules/broker_durable.h"
#include "modules/broker_local_channel.h"

#include <algorithm>

namespace fanhorn {

// Channels by the second in which their oldest message goes. A due time further away than the
// wheel is round lies in the last bucket and is looked at again then.
struct LocalBroker::Wheel {
    static constexpr Millis kTick = 1000;
    static constexpr size_t kBuckets = 1024;
    using Bucket = List<Channel, &Channel::expiry>;

    void place(Channel& channel, Millis at, Millis now) {
        const Millis far = now / kTick + static_cast<Millis>(kBuckets) - 1;
        const Millis tick = std::clamp(at / kTick + 1, now / kTick + 1, far);
        channel.expiry.unlink();
        buckets[static_cast<size_t>(tick) % kBuckets].push_back(channel);
    }

    // Moves what the seconds up to `now` brought to `due`, from where it may be placed again.
    void collect(Millis now) {
        const Millis last = now / kTick;
        looked_at = std::max(looked_at, last - static_cast<Millis>(kBuckets));
        while (looked_at < last)
            due.splice_back(buckets[static_cast<size_t>(++looked_at) % kBuckets]);
    }

    std::array<Bucket, kBuckets> buckets;
    Bucket due;
    Millis looked_at = 0; // the last tick whose bucket was emptied
};

namespace {

// What governs a channel whose section a reload took away: nothing new is kept.
const ChannelSettings& orphan_settings() {
    static const ChannelSettings kOrphan = [] {
        ChannelSettings settings;
        settings.history = 0;
        return settings;
    }();
    return kOrphan;
}

} // namespace

bool LocalBroker::ByName::operator()(const Channel* a, const Channel* b) const {
    return a->name < b->name;
}
bool LocalBroker::ByName::operator()(const Channel* a, std::string_view b) const {
    return a->name < b;
}
bool LocalBroker::ByName::operator()(std::string_view a, const Channel* b) const {
    return a < b->name;
}

LocalBroker::LocalBroker(const Clock& clock, Counters& counters)
    : clock_(clock), counters_(counters), epoch_(random_epoch()),
      wheel_(std::make_unique<Wheel>()) {
    random_bytes(&name_key_, sizeof name_key_);
}

LocalBroker::~LocalBroker() = default;

size_t LocalBroker::add_worker(Mailbox& box) {
    std::lock_guard lock(mutex_);
    boxes_.push_back(&box);
    return boxes_.size() - 1;
}

void LocalBroker::configure(std::shared_ptr<const Rules> rules, const BrokerLimits& limits) {
    std::lock_guard lock(mutex_);
    rules_.swap(rules); // the old ones die outside the lock
    ++generation_;
    limits_ = limits;
    for (const auto& [settings, seq] : section_watermarks_)
        earlier_watermark_ = std::max(earlier_watermark_, seq);
    section_watermarks_.clear();
}

Position LocalBroker::pushed() const {
    return {epoch_, pushed_.load(std::memory_order_acquire)};
}

size_t LocalBroker::channel_count() const {
    return channel_count_.load(std::memory_order_relaxed);
}

LocalBroker::Channel* LocalBroker::find(std::string_view name) {
    if (recent_ && recent_->name == name)
        return recent_;
    const auto found = channels_.find(name);
    return found == channels_.end() ? nullptr : recent_ = found->get();
}

LocalBroker::Channel* LocalBroker::find_or_make(const std::string& name,
                                                Published::Status& refused) {
    if (Channel* channel = find(name)) {
        settings_of(*channel);
        if (!channel->settings) // a reload took its section away
            refused = Published::Status::NoSection;
        return channel->settings ? channel : nullptr;
    }
    const ChannelSettings* settings = rules_->settings_for(name);
    if (!settings) {
        refused = Published::Status::NoSection;
        return nullptr;
    }
    if (channels_.size() >= limits_.channels) {
        refused = Published::Status::ChannelsFull;
        reached(Limit::Channels);
        return nullptr;
    }
    auto channel = std::make_unique<Channel>();
    channel->name = name;
    channel->settings = settings;
    channel->generation = generation_;
    channel->history.raise_trimmed(watermark(name));
    Channel* made = channel.get();
    recent_ = made;
    if (!is_by_name_late_)
        by_name_.insert(made);
    channels_.insert(std::move(channel));
    channel_count_.store(channels_.size(), std::memory_order_relaxed);
    return made;
}

void LocalBroker::free_if_empty(Channel& channel) {
    if (!channel.wanted.empty() || !channel.history.empty() || channel.retained || channel.staged)
        return;
    uint64_t& mark = watermark(channel.name);
    mark = std::max(mark, channel.history.trimmed());
    if (channel.history.trimmed() > 0) {
        uint64_t& of_section = section_watermarks_[&settings_of(channel)];
        of_section = std::max(of_section, channel.history.trimmed());
    }
    recent_ = nullptr;
    by_name_.erase(&channel);
    channels_.erase(channels_.find(channel.key()));
    channel_count_.store(channels_.size(), std::memory_order_relaxed);
}

const ChannelSettings& LocalBroker::settings_of(Channel& channel) {
    if (channel.generation != generation_) {
        channel.settings = rules_->settings_for(channel.name);
        channel.generation = generation_;
    }
    return channel.settings ? *channel.settings : orphan_settings();
}

uint64_t& LocalBroker::watermark(std::string_view name) {
    return watermarks_[siphash13(name_key_, name) % watermarks_.size()];
}

void LocalBroker::reached(Limit limit) {
    counters_.count(limit);
    reached_.push_back(limit);
}

void LocalBroker::publish(std::vector<Draft> drafts,
                          std::function<void(std::vector<Published>)> done) {
    std::vector<Digest> contents; // of those with a key
    for (const Draft& draft : drafts)
        if (!draft.idempotency_key.empty())
            contents.push_back(content_digest(draft));

    std::vector<Published> results;
    results.reserve(drafts.size());
    Garbage garbage; // freed outside the lock
    std::vector<Limit> limits;
    std::vector<Mailbox*> filled;
    {
        std::lock_guard lock(mutex_);
        const Millis now = clock_.now();
        auto content = contents.begin();
        for (Draft& draft : drafts)
            results.push_back(publish_one(
                draft, draft.idempotency_key.empty() ? nullptr : &*content++, now, garbage));
        pushed_.store(head_, std::memory_order_release);
        limits.swap(reached_);
        filled.swap(filled_);
    }
    for (const Mailbox* box : filled)
        box->wake();
    for (const Limit limit : limits)
        log_limit(limit);
    done(std::move(results));
}

Published LocalBroker::publish_one(Draft& draft, const Digest* content, Millis now,
                                   Garbage& garbage) {
    Published result;
    if (is_retired_)
        result.status = Published::Status::Down;
    else if (const Staged staged = stage(draft, content, now, result); staged.message)
        result.subscribers = apply(staged, garbage);
    return result;
}

LocalBroker::Staged LocalBroker::stage(Draft& draft, const Digest* content, Millis now,
                                       Published& result) {
    if (content) {
        if (const auto* known = keys_.find(draft.channel, draft.idempotency_key, now)) {
            const bool same = known->content == *content;
            result.status = same ? Published::Status::Replayed : Published::Status::Mismatch;
            result.position = known->position;
            result.n = known->n;
            return {};
        }
    }
    Channel* channel = find_or_make(draft.channel, result.status);
    if (!channel)
        return {};
    const uint64_t n = draft.store ? ++channel->n : 0;
    const std::string key = draft.idempotency_key; // which the draft keeps
    MessageRef message(new Message(std::move(draft), {epoch_, ++given_}, n, now));
    result.position = message->position;
    result.n = n;
    if (content && keys_.insert(channel->name, key, {*content, message->position, n}, now))
        reached(Limit::IdempotencyKeys);
    ++channel->staged;
    return {channel, std::move(message)};
}

uint32_t LocalBroker::apply(const Staged& staged, Garbage& garbage) {
    --staged.channel->staged;
    settings_of(*staged.channel); // a reload may have come meanwhile
    head_ = staged.message->position.seq;
    const uint32_t subscribers = deliver(*staged.channel, staged.message);
    remember(*staged.channel, staged.message, garbage);
    return subscribers;
}

void LocalBroker::remember(Channel& channel, const MessageRef& message, Garbage& garbage) {
    if (message->stored) {
        kept_bytes_ -= channel.history.bytes();
        channel.history.append(message, settings_of(channel), message->stored_at, garbage);
        kept_bytes_ += channel.history.bytes();
    }
    if (message->retained)
        channel.retained = message;
    if (message->expires)
        channel.expiry.unlink(); // it may be due before what was scheduled
    schedule(channel);
    free_if_empty(channel);
}

// To each worker once. Returns for how many subscribers.
uint32_t LocalBroker::deliver(const Channel& channel, const MessageRef& message) {
    for (const uint16_t worker : channel.wanted)
        push(worker, message);
    uint32_t subscribers = channel.audience->total();
    if (wildcards_.empty())
        return subscribers;
    std::u16string reached = channel.wanted;
    wildcards_.each_match(channel.name, [&](Wildcard& wildcard) {
        if (settings_of(wildcard) != channel.settings)
            return;
        subscribers += wildcard.audience->total();
        for (const uint16_t worker : wildcard.wanted) {
            if (reached.find(worker) != reached.npos)
                continue;
            reached.push_back(worker);
            push(worker, message);
        }
    });
    return subscribers;
}

void LocalBroker::unsubscribe(size_t worker, const std::string& name) {
    std::lock_guard lock(mutex_);
    unwant(static_cast<uint16_t>(worker), name);
}

void LocalBroker::remove(const std::string& name, std::function<void(Removal)> done) {
    Garbage garbage;
    std::vector<Mailbox*> filled;
    auto removal = Removal::Unknown;
    {
        std::lock_guard lock(mutex_);
        if (is_retired_) {
            removal = Removal::Down;
        } else if (Channel* channel = find(name)) {
            removal = Removal::Removed;
            end_channel(*channel, ++given_, garbage);
            pushed_.store(head_, std::memory_order_release);
        }
        filled.swap(filled_);
    }
    for (const Mailbox* box : filled)
        box->wake();
    done(removal);
}

// The end has a place in the order: who subscribes behind it is not ended.
void LocalBroker::end_channel(Channel& channel, uint64_t seq, Garbage& garbage) {
    kept_bytes_ -= channel.history.bytes();
    channel.history.clear(garbage);
    channel.retained = nullptr;
    head_ = seq;
    for (const uint16_t worker : channel.wanted) {
        auto notice = std::make_unique<Notice>();
        notice->kind = Notice::Kind::Ended;
        notice->channel = channel.name;
        notice->seq = seq;
        push(worker, std::move(notice));
    }
    free_if_empty(channel);
}

LocalBroker::ChannelCopy LocalBroker::copy_of(const Channel& channel) {
    const History& history = channel.history;
    ChannelCopy copy{channel.name, channel.n, history.trimmed(), {}, nullptr};
    for (size_t i = 0; i < history.size(); ++i)
        copy.messages.push_back(history.ref(i));
    const MessageRef& retained = channel.retained;
    const size_t at = retained ? history.first_after(retained->position.seq - 1) : 0;
    if (retained && (at == history.size() || history.ref(at).get() != retained.get()))
        copy.past = retained;
    return copy;
}

void LocalBroker::schedule(Channel& channel) {
    Millis due = channel.history.next_expiry(settings_of(channel));
    if (channel.retained && channel.retained->expires)
        due = due ? std::min(due, channel.retained->expires) : channel.retained->expires;
    if (due && !channel.expiry.is_linked())
        wheel_->place(channel, due, clock_.now());
}

void LocalBroker::expire(Channel& channel, Millis now, Garbage& garbage) {
    kept_bytes_ -= channel.history.bytes();
    channel.history.trim(settings_of(channel), now, garbage);
    kept_bytes_ += channel.history.bytes();
    if (channel.retained && channel.retained->is_expired(now))
        channel.retained = nullptr;
}

void LocalBroker::tick() {
    constexpr size_t kSlice = 256; // channels for which the sequencer is held
    const Millis now = clock_.now();
    tell_who_left(now);
    bool is_done = false;
    while (!is_done) {
        Garbage garbage;
        std::lock_guard lock(mutex_);
        wheel_->collect(now);
        for (size_t i = 0; i < kSlice && !wheel_->due.empty(); ++i) {
            Channel& channel = *wheel_->due.pop_front();
            expire(channel, now, garbage);
            schedule(channel);
            free_if_empty(channel);
        }
        is_done = wheel_->due.empty();
    }
}

namespace {
std::unique_ptr<Broker> create(const BrokerSettings& settings, const Clock& clock,
                               Counters& counters) {
    if (settings.path.empty())
        return std::make_unique<LocalBroker>(clock, counters);
    return std::make_unique<DurableBroker>(settings, DurableBroker::system_seams(settings.path),
                                           clock, counters);
}
} // namespace

extern const BrokerModule broker_local;
const BrokerModule broker_local = {"local", create};

} // namespace fanhorn
