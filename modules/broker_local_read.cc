// SPDX-License-Identifier: Apache-2.0
// Where a reader begins and what it is given: the reading half of the local broker.
#include "modules/broker_local.h"

#include "modules/broker_local_channel.h"

#include <algorithm>
#include <queue>

namespace fanhorn {

namespace {

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

// From `index` on the first that has not expired: expired ones are looked for once a second only.
size_t first_fresh(const History& history, size_t index, Millis now) {
    while (index < history.size() && history.at(index).is_expired(now))
        ++index;
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

void LocalBroker::subscribe(size_t worker, std::vector<std::string> names, Since since,
                            std::function<void(Start)> done) {
    Start result;
    std::vector<Limit> limits;
    {
        std::lock_guard lock(mutex_);
        result.status = want(static_cast<uint16_t>(worker), names);
        if (result.status == Start::Status::Placed)
            result = begin_at(names, since, clock_.now());
        limits.swap(reached_);
    }
    for (const Limit limit : limits)
        log_limit(limit);
    done(std::move(result));
}

// All of them or none.
Start::Status LocalBroker::want(uint16_t worker, const std::vector<std::string>& names) {
    auto status = Start::Status::Placed;
    if (is_retired_)
        return Start::Status::Down;
    std::vector<const std::string*> added;
    for (const std::string& name : names) {
        std::u16string* wanted =
            is_wildcard(name) ? wildcard_wanters(name, status) : wanters(name, status);
        if (!wanted)
            break;
        if (wanted->find(worker) != wanted->npos)
            continue;
        wanted->push_back(worker);
        added.push_back(&name);
    }
    if (status != Start::Status::Placed)
        for (const std::string* name : added)
            unwant(worker, *name);
    return status;
}

std::u16string* LocalBroker::wanters(const std::string& name, Start::Status& refused) {
    auto why = Published::Status::Published;
    if (Channel* channel = find_or_make(name, why))
        return has_room(*channel->settings, *channel->audience, refused) ? &channel->wanted
                                                                         : nullptr;
    refused = why == Published::Status::NoSection ? Start::Status::NoSection
                                                  : Start::Status::ChannelsFull;
    return nullptr;
}

bool LocalBroker::has_room(const ChannelSettings& settings, const Audience& audience,
                           Start::Status& refused) {
    if (settings.subscribers == 0 || audience.total() < settings.subscribers)
        return true;
    refused = Start::Status::SubscribersFull;
    reached(Limit::Subscribers);
    return false;
}

void LocalBroker::unwant(uint16_t worker, const std::string& name) {
    if (is_wildcard(name)) {
        Wildcard* wildcard = wildcards_.find(name);
        if (wildcard && std::erase(wildcard->wanted, worker) && wildcard->wanted.empty())
            wildcards_.erase(*wildcard);
    } else if (Channel* channel = find(name)) {
        std::erase(channel->wanted, worker);
        free_if_empty(*channel);
    }
}

void LocalBroker::locate(std::vector<std::string> names, Since since,
                         std::function<void(Start)> done) {
    Start result;
    {
        std::lock_guard lock(mutex_);
        if (is_retired_)
            result.status = Start::Status::Down;
        else
            result = begin_at(names, since, clock_.now());
    }
    done(std::move(result));
}

Start LocalBroker::begin_at(const std::vector<std::string>& names, const Since& since, Millis now) {
    Start start;
    start.epoch = epoch_;
    start.head = head_;
    uint64_t lowest = head_; // behind it lies what the replay brings first
    for (const std::string& name : names)
        start.channels.push_back(is_wildcard(name) ? start_wildcard(name, since, now, lowest)
                                                   : start_channel(name, since, now, lowest));

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
        first = first_fresh(history, 0, now);
        break;
    case Since::Kind::Newest:
        first = first_fresh(history, newest(history, since.count, now), now);
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

// One read, while the lock is held.
class LocalBroker::Reading {
  public:
    Reading(LocalBroker& broker, Stretch& stretch, Page& page)
        : broker_(broker), stretch_(stretch), page_(page), now_(broker.clock_.now()) {}

    void run() {
        do
            open();
        while (take());
    }

    Garbage garbage;

  private:
    void open() {
        merge_ = {};
        named_.clear();
        lost_ = broker_.lost_behind(stretch_.after);
        const size_t count = stretch_.parts.size();
        for (size_t i = 0; i < count; ++i)
            if (!is_wildcard(stretch_.parts[i].channel))
                add_named(stretch_.parts[i]);
        std::sort(named_.begin(), named_.end());
        for (size_t i = 0; i < count; ++i)
            if (is_wildcard(stretch_.parts[i].channel))
                add_matched(i);
        if (is_in_loss())
            lost_ = broker_.lost_behind(lost_->upto);
    }

    // Not beyond where something was lost: that is told before what comes behind it. Returns
    // whether there is nothing before it.
    bool take() {
        size_t bytes = 0;
        const uint64_t last = lost_ ? lost_->after : UINT64_MAX;
        while (!merge_.empty() && page_.messages.size() < stretch_.max_messages) {
            const MessageRef& message = merge_.top();
            if (message->position.seq > last)
                break;
            bytes += message->bytes();
            if (bytes > stretch_.max_bytes && !page_.messages.empty())
                return false;
            if (!message->is_expired(now_))
                page_.messages.push_back(message);
            stretch_.after = message->position.seq;
            merge_.pop();
        }
        const bool is_through = merge_.empty() || merge_.top()->position.seq > last;
        if (is_through)
            stretch_.after = std::max(stretch_.after, std::min(last, broker_.head_));
        page_.is_end = is_through && !lost_;
        return is_through && lost_ && page_.messages.empty();
    }

    void add_named(StretchPart& part) {
        Channel* channel = broker_.find(part.channel);
        if (channel)
            named_.push_back(channel);
        part.floor = add(part.channel, channel, part.floor);
    }

    // What was told to be missing is named from then on, or the next read would tell it again.
    void add_matched(size_t index) {
        const StretchPart part = stretch_.parts[index];
        const uint64_t lower = std::max(part.floor, stretch_.after);
        Wildcard* wildcard = broker_.wildcards_.find(part.channel);
        if (!wildcard || lower >= broker_.head_)
            return;
        std::vector<Channel*> matched;
        const bool is_whole = broker_.find_matched(*wildcard, matched);
        // Of a channel that was freed nothing else is left.
        const uint64_t freed = is_whole ? broker_.freed_of(*wildcard) : broker_.head_;
        if (const uint64_t behind = behind_gap(part.channel, lower, freed, nullptr))
            stretch_.parts[index].floor = behind;
        for (Channel* channel : matched) {
            if (std::binary_search(named_.begin(), named_.end(), channel))
                continue;
            const uint64_t floor = add(channel->name, channel, part.floor);
            if (floor > part.floor || lower < freed)
                stretch_.parts.push_back({channel->name, floor});
        }
    }

    // Returns from where on the channel has been told, or will be read.
    uint64_t add(const std::string& name, Channel* channel, uint64_t floor) {
        if (channel)
            broker_.expire(*channel, now_, garbage);
        const uint64_t lower = std::max(floor, stretch_.after);
        const uint64_t trimmed = channel ? channel->history.trimmed() : broker_.watermark(name);
        if (const uint64_t behind = behind_gap(name, lower, trimmed, channel))
            floor = behind;
        if (channel)
            merge_.add(channel->history, std::max(floor, stretch_.after));
        return floor;
    }

    // Whether what comes next is what was lost.
    bool is_in_loss() const { return lost_ && stretch_.after >= lost_->after; }

    // Tells what is missing behind `after`, and returns from where on it is there; 0: nothing is.
    uint64_t behind_gap(const std::string& name, uint64_t after, uint64_t trimmed,
                        const Channel* channel) {
        const uint64_t lost = is_in_loss() ? lost_->upto : 0;
        const uint64_t behind = std::max(trimmed, lost);
        if (behind <= after)
            return 0;
        Gap gap{name, {broker_.epoch_, after}, {}, Gap::Why::Broker};
        if (after < trimmed)
            gap.why = Gap::Why::Trimmed;
        if (channel) {
            const History& history = channel->history;
            if (const size_t next = history.first_after(behind); next < history.size())
                gap.next = history.at(next).position;
        }
        page_.gaps.push_back(std::move(gap));
        return behind;
    }

    LocalBroker& broker_;
    Stretch& stretch_;
    Page& page_;
    const Millis now_;
    Merge merge_;
    std::vector<const Channel*> named_;
    const LostStretch* lost_ = nullptr; // the next one
};

// The first that is not wholly at or below that seq, or null.
const LostStretch* LocalBroker::lost_behind(uint64_t seq) const {
    for (const LostStretch& lost : losses_)
        if (lost.upto > seq)
            return &lost;
    return nullptr;
}

void LocalBroker::read(Stretch stretch, std::function<void(Page)> done) {
    Page page;
    After after;
    Garbage garbage;
    {
        std::lock_guard lock(mutex_);
        page.epoch = epoch_;
        Reading reading(*this, stretch, page);
        reading.run();
        garbage.swap(reading.garbage);
        take(after);
    }
    after.run();
    page.rest = std::move(stretch);
    done(std::move(page));
}

ChannelFacts LocalBroker::facts_of(Channel& channel) {
    ChannelFacts facts;
    facts.channel = channel.name;
    const auto add = [&](const Audience& audience) {
        for (size_t i = 0; i < facts.subscribers.size(); ++i)
            facts.subscribers[i] += audience.count[i].load(std::memory_order_relaxed);
    };
    add(*channel.audience);
    settings_of(channel);
    wildcards_.each_match(channel.name, [&](Wildcard& wildcard) {
        if (settings_of(wildcard) == channel.settings)
            add(*wildcard.audience);
    });
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
        for (auto next = by_name_.lower_bound(std::max(prefix, cursor));
             next != by_name_.end() && (*next)->name.starts_with(prefix); ++next) {
            if (is_reserved((*next)->name))
                continue;
            if (list.channels.size() == limit) {
                list.cursor = (*next)->name;
                break;
            }
            list.channels.push_back(facts_of(**next));
        }
    }
    done(std::move(list));
}

} // namespace fanhorn
