// SPDX-License-Identifier: Apache-2.0
#include "modules/broker_local.h"

#include <algorithm>
#include <queue>

namespace fanhorn {

struct LocalBroker::Channel {
    std::string name;
    const ChannelSettings* settings = nullptr; // of rules_ when generation is generation_
    uint64_t generation = 0;
    uint64_t n = 0;
    History history;
    MessageRef retained;
    std::vector<uint16_t> wanted; // workers
    Ref<Audience> audience = make_ref<Audience>();
    Hook expiry;
};

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

bool has_seq(const History& history, uint64_t seq) {
    const size_t index = history.first_after(seq - 1);
    return index < history.size() && history.at(index).position.seq == seq;
}

// The index from which `count` messages follow that have not expired.
size_t newest(const History& history, uint64_t count, Millis now) {
    size_t index = history.size();
    while (index > 0 && count > 0)
        count -= history.at(--index).is_expired(now) ? 0 : 1;
    return index;
}

// Walks the parts of a stretch in position order.
class Merge {
  public:
    void add(const History& history, uint64_t after) {
        const size_t index = history.first_after(after);
        if (index < history.size())
            heads_.push({history.at(index).position.seq, &history, index});
    }
    bool empty() const { return heads_.empty(); }
    const MessageRef& top() const { return heads_.top().history->ref(heads_.top().index); }
    void pop() {
        Head head = heads_.top();
        heads_.pop();
        if (++head.index < head.history->size()) {
            head.seq = head.history->at(head.index).position.seq;
            heads_.push(head);
        }
    }

  private:
    struct Head {
        uint64_t seq;
        const History* history;
        size_t index;
        bool operator<(const Head& other) const { return seq > other.seq; }
    };
    std::priority_queue<Head> heads_;
};

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
      wheel_(std::make_unique<Wheel>()) {}

LocalBroker::~LocalBroker() = default;

size_t LocalBroker::add_worker(Mailbox& box) {
    std::lock_guard lock(mutex_);
    boxes_.push_back(&box);
    return boxes_.size() - 1;
}

void LocalBroker::configure(std::shared_ptr<const Rules> rules, uint32_t max_channels) {
    std::lock_guard lock(mutex_);
    rules_.swap(rules); // the old ones die outside the lock
    ++generation_;
    max_channels_ = max_channels;
}

Position LocalBroker::pushed() const {
    return {epoch_, pushed_.load(std::memory_order_acquire)};
}

size_t LocalBroker::channel_count() const {
    return channel_count_.load(std::memory_order_relaxed);
}

LocalBroker::Channel* LocalBroker::find(const std::string& name) {
    const auto found = channels_.find(name);
    return found == channels_.end() ? nullptr : found->second.get();
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
    if (channels_.size() >= max_channels_) {
        refused = Published::Status::ChannelsFull;
        counters_.hit(Limit::Channels);
        return nullptr;
    }
    auto channel = std::make_unique<Channel>();
    channel->name = name;
    channel->settings = settings;
    channel->generation = generation_;
    channel->history.raise_trimmed(watermark(name));
    Channel* made = channel.get();
    by_name_.insert(made);
    channels_.emplace(name, std::move(channel));
    channel_count_.store(channels_.size(), std::memory_order_relaxed);
    return made;
}

void LocalBroker::free_if_empty(Channel& channel) {
    if (!channel.wanted.empty() || !channel.history.empty() || channel.retained)
        return;
    uint64_t& mark = watermark(channel.name);
    mark = std::max(mark, channel.history.trimmed());
    by_name_.erase(&channel);
    channels_.erase(channels_.find(channel.name));
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
    return watermarks_[keyed_hash(name) % watermarks_.size()];
}

void LocalBroker::publish(std::vector<Draft> drafts,
                          std::function<void(std::vector<Published>)> done) {
    std::vector<Digest> contents(drafts.size());
    for (size_t i = 0; i < drafts.size(); ++i)
        if (!drafts[i].idempotency_key.empty())
            contents[i] = content_digest(drafts[i]);

    std::vector<Published> results;
    results.reserve(drafts.size());
    Garbage garbage; // freed outside the lock
    {
        std::lock_guard lock(mutex_);
        for (size_t i = 0; i < drafts.size(); ++i)
            results.push_back(publish_one(
                drafts[i], drafts[i].idempotency_key.empty() ? nullptr : &contents[i], garbage));
        pushed_.store(head_, std::memory_order_release);
    }
    done(std::move(results));
}

Published LocalBroker::publish_one(Draft& draft, const Digest* content, Garbage& garbage) {
    Published result;
    const Millis now = clock_.now();
    if (content) {
        if (const auto* known = keys_.find(draft.channel, draft.idempotency_key, now)) {
            const bool same = known->content == *content;
            result.status = same ? Published::Status::Replayed : Published::Status::Mismatch;
            result.position = known->position;
            result.n = known->n;
            return result;
        }
    }
    Channel* channel = find_or_make(draft.channel, result.status);
    if (!channel)
        return result;

    const std::string key = std::move(draft.idempotency_key);
    const uint64_t n = draft.store ? ++channel->n : 0;
    const MessageRef message(new Message(std::move(draft), {epoch_, ++head_}, n, now));
    result = {Published::Status::Published, message->position, n, channel->audience->total()};
    for (const uint16_t worker : channel->wanted)
        boxes_[worker]->push(message);
    if (content && keys_.insert(channel->name, key, {*content, message->position, n}, now))
        counters_.hit(Limit::IdempotencyKeys);
    remember(*channel, message, garbage);
    return result;
}

void LocalBroker::remember(Channel& channel, const MessageRef& message, Garbage& garbage) {
    if (message->stored)
        channel.history.append(message, settings_of(channel), message->stored_at, garbage);
    if (message->retained)
        channel.retained = message;
    if (message->expires)
        channel.expiry.unlink(); // it may be due before what was scheduled
    schedule(channel);
    free_if_empty(channel);
}

void LocalBroker::subscribe(size_t worker, std::vector<std::string> names, Since since,
                            std::function<void(Start)> done) {
    Start result;
    {
        std::lock_guard lock(mutex_);
        result.status = want(static_cast<uint16_t>(worker), names);
        if (result.status == Start::Status::Placed)
            result = start(names, since, clock_.now());
    }
    done(std::move(result));
}

// All of them or none.
Start::Status LocalBroker::want(uint16_t worker, const std::vector<std::string>& names) {
    auto refused = Published::Status::Published;
    std::vector<Channel*> added;
    for (const std::string& name : names) {
        Channel* channel = find_or_make(name, refused);
        if (!channel)
            break;
        if (std::find(channel->wanted.begin(), channel->wanted.end(), worker) !=
            channel->wanted.end())
            continue;
        channel->wanted.push_back(worker);
        added.push_back(channel);
    }
    if (refused == Published::Status::Published)
        return Start::Status::Placed;
    for (Channel* channel : added) {
        std::erase(channel->wanted, worker);
        free_if_empty(*channel);
    }
    return refused == Published::Status::NoSection ? Start::Status::NoSection
                                                   : Start::Status::ChannelsFull;
}

void LocalBroker::locate(std::vector<std::string> names, Since since,
                         std::function<void(Start)> done) {
    Start result;
    {
        std::lock_guard lock(mutex_);
        result = start(names, since, clock_.now());
    }
    done(std::move(result));
}

Start LocalBroker::start(const std::vector<std::string>& names, const Since& since, Millis now) {
    Start start;
    start.epoch = epoch_;
    start.head = head_;
    uint64_t lowest = head_; // behind it lies what the replay brings first
    for (const std::string& name : names)
        start.channels.push_back(start_channel(name, since, now, lowest));

    if (since.kind == Since::Kind::After) {
        start.told = since.position;
        start.after = start.channels[0].gap ? 0 : since.position.seq;
    } else {
        start.told = {epoch_, lowest};
        start.after = lowest;
    }
    return start;
}

ChannelStart LocalBroker::start_channel(const std::string& name, const Since& since, Millis now,
                                        uint64_t& lowest) {
    ChannelStart start;
    Channel* channel = find(name);
    const History nothing;
    const History& history = channel ? channel->history : nothing;
    if (channel) {
        Garbage garbage;
        expire(*channel, now, garbage);
        start.audience = channel->audience;
    }
    const uint64_t trimmed = channel ? history.trimmed() : watermark(name);
    size_t first = 0; // what the replay begins with
    start.floor = trimmed;
    switch (since.kind) {
    case Since::Kind::Latest:
        start.floor = head_;
        first = history.size();
        break;
    case Since::Kind::Earliest:
        break;
    case Since::Kind::Newest:
        first = newest(history, since.count, now);
        if (first > 0)
            start.floor = history.at(first - 1).position.seq;
        break;
    case Since::Kind::After:
        if (since.position.epoch != epoch_ || since.position.seq > head_) {
            start.gap = Gap{name, since.position, {}, Gap::Why::Epoch};
            if (since.position.epoch == epoch_)
                start.gap->why = Gap::Why::Ahead;
            if (!history.empty())
                start.gap->next = history.at(0).position;
        } else {
            start.floor = since.position.seq;
            first = history.first_after(since.position.seq);
        }
        break;
    }
    if (first < history.size())
        lowest = std::min(lowest, history.at(first).position.seq - 1);
    if (channel && channel->retained) {
        const uint64_t seq = channel->retained->position.seq;
        const bool is_newer = since.kind != Since::Kind::After || start.gap || seq > start.floor;
        const bool is_replayed = seq > start.floor && has_seq(history, seq);
        if (is_newer && !is_replayed)
            start.retained = channel->retained;
    }
    return start;
}

void LocalBroker::unsubscribe(size_t worker, const std::string& name) {
    std::lock_guard lock(mutex_);
    Channel* channel = find(name);
    if (!channel)
        return;
    std::erase(channel->wanted, static_cast<uint16_t>(worker));
    free_if_empty(*channel);
}

void LocalBroker::read(Stretch stretch, std::function<void(Page)> done) {
    Page page;
    Garbage garbage;
    {
        std::lock_guard lock(mutex_);
        const Millis now = clock_.now();
        page.epoch = epoch_;
        Merge merge;
        for (Stretch::Part& part : stretch.parts) {
            Channel* channel = find(part.channel);
            if (channel)
                expire(*channel, now, garbage);
            const uint64_t lower = std::max(part.floor, stretch.after);
            const uint64_t trimmed = channel ? channel->history.trimmed() : watermark(part.channel);
            if (lower < trimmed) {
                Gap gap{part.channel, {epoch_, lower}, {}, Gap::Why::Trimmed};
                if (channel && !channel->history.empty())
                    gap.next = channel->history.at(0).position;
                page.gaps.push_back(std::move(gap));
                part.floor = trimmed;
            }
            if (channel)
                merge.add(channel->history, std::max(part.floor, stretch.after));
        }
        size_t bytes = 0;
        while (!merge.empty() && page.messages.size() < stretch.max_messages) {
            const MessageRef& message = merge.top();
            bytes += message->bytes();
            if (bytes > stretch.max_bytes && !page.messages.empty())
                break;
            if (!message->is_expired(now))
                page.messages.push_back(message);
            stretch.after = message->position.seq;
            merge.pop();
        }
        page.is_end = merge.empty();
        if (page.is_end)
            stretch.after = std::max(stretch.after, head_);
    }
    page.rest = std::move(stretch);
    done(std::move(page));
}

void LocalBroker::remove(const std::string& name, std::function<void(bool)> done) {
    Garbage garbage;
    bool existed = false;
    {
        std::lock_guard lock(mutex_);
        if (Channel* channel = find(name)) {
            existed = true;
            channel->history.clear(garbage);
            channel->retained = nullptr;
            ++head_; // a place in the order: who subscribes behind it is not ended
            for (const uint16_t worker : channel->wanted) {
                auto notice = std::make_unique<Notice>();
                notice->kind = Notice::Kind::Ended;
                notice->channel = name;
                notice->seq = head_;
                boxes_[worker]->push(std::move(notice));
            }
            free_if_empty(*channel);
            pushed_.store(head_, std::memory_order_release);
        }
    }
    done(existed);
}

ChannelFacts LocalBroker::facts_of(Channel& channel) {
    ChannelFacts facts;
    facts.channel = channel.name;
    for (size_t i = 0; i < facts.subscribers.size(); ++i)
        facts.subscribers[i] = channel.audience->count[i].load(std::memory_order_relaxed);
    facts.messages = channel.history.size();
    facts.bytes = channel.history.bytes();
    facts.n = channel.n;
    facts.section = settings_of(channel).pattern;
    if (facts.messages) {
        facts.first = channel.history.at(0).position;
        facts.last = channel.history.at(facts.messages - 1).position;
    }
    return facts;
}

void LocalBroker::facts(const std::string& name,
                        std::function<void(std::optional<ChannelFacts>)> done) {
    std::optional<ChannelFacts> facts;
    Garbage garbage;
    {
        std::lock_guard lock(mutex_);
        if (Channel* channel = find(name)) {
            expire(*channel, clock_.now(), garbage);
            facts = facts_of(*channel);
        }
    }
    done(std::move(facts));
}

void LocalBroker::list(std::string_view prefix, std::string_view cursor, size_t limit,
                       std::function<void(ChannelList)> done) {
    ChannelList list;
    {
        std::lock_guard lock(mutex_);
        auto next = by_name_.lower_bound(std::max(prefix, cursor));
        while (next != by_name_.end() && (*next)->name.starts_with(prefix)) {
            if (list.channels.size() == limit) {
                list.cursor = (*next)->name;
                break;
            }
            list.channels.push_back(facts_of(**next));
            ++next;
        }
    }
    done(std::move(list));
}

void LocalBroker::schedule(Channel& channel) {
    Millis due = channel.history.next_expiry(settings_of(channel));
    if (channel.retained && channel.retained->expires)
        due = due ? std::min(due, channel.retained->expires) : channel.retained->expires;
    if (due && !channel.expiry.is_linked())
        wheel_->place(channel, due, clock_.now());
}

void LocalBroker::expire(Channel& channel, Millis now, Garbage& garbage) {
    channel.history.trim(settings_of(channel), now, garbage);
    if (channel.retained && channel.retained->is_expired(now))
        channel.retained = nullptr;
}

void LocalBroker::tick() {
    constexpr size_t kSlice = 256; // channels for which the sequencer is held
    const Millis now = clock_.now();
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
std::unique_ptr<Broker> create(const Clock& clock, Counters& counters) {
    return std::make_unique<LocalBroker>(clock, counters);
}
} // namespace

extern const BrokerModule broker_local;
const BrokerModule broker_local = {"local", create};

} // namespace fanhorn
