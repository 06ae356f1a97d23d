// SPDX-License-Identifier: Apache-2.0
#include "modules/broker_local_load.h"

#include <algorithm>
#include <span>

namespace fanhorn {

namespace {

// A name's eight bytes from some place on, as a number of the same order, and whose it is.
template <typename Named> struct Keyed {
    uint64_t key;
    Named* named;
};

uint64_t key_at(std::string_view name, size_t depth) {
    uint64_t key = 0;
    for (size_t i = depth; i < depth + sizeof key; ++i)
        key = key << 8 | (i < name.size() ? static_cast<uint8_t>(name[i]) : 0);
    return key;
}

// By names, each another one and without zeros, which agree up to `depth`. A million in a set of
// their own would be looked up in memory twenty times each; here it is once for eight bytes.
template <typename Named> void sort_by_name(std::span<Keyed<Named>> all, size_t depth = 0) {
    for (Keyed<Named>& each : all)
        each.key = key_at(each.named->name, depth);
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    for (size_t from = 0, to = 0; from < all.size(); from = to) {
        while (to < all.size() && all[to].key == all[from].key)
            ++to;
        if (to - from > 1)
            sort_by_name(all.subspan(from, to - from), depth + sizeof(uint64_t));
    }
}

} // namespace

LocalBroker::Loader::Loader(LocalBroker& broker)
    : broker_(broker), now_(broker.clock_.now()),
      most_channels_(std::exchange(broker.limits_.channels, UINT32_MAX)) {
    broker_.is_by_name_late_ = true;
}

LocalBroker::Loader::~Loader() {
    broker_.limits_.channels = most_channels_;
}

bool LocalBroker::Loader::on_message(LoggedMessage&& logged) {
    prepare();
    last_ = std::max(last_, logged.seq);
    if (logged.content)
        remember_key(logged.draft.channel, logged.draft.idempotency_key,
                     {*logged.content, {broker_.epoch_, logged.seq}, logged.n},
                     clock_of(logged.stored_at));
    Channel* channel = find_or_make(logged.draft.channel, logged.seq);
    if (!channel)
        return true;
    const Millis stored_at = clock_of(logged.stored_at);
    const MessageRef message(
        new Message(std::move(logged.draft), {broker_.epoch_, logged.seq}, logged.n, stored_at));
    ++messages_;
    channel->n = std::max(channel->n, message->n);
    if (message->retained && (!channel->retained || channel->retained->position.seq < logged.seq))
        channel->retained = message;
    return !message->stored || logged.is_past || append(*channel, message);
}

bool LocalBroker::Loader::on_removal(const std::string& name, uint64_t seq) {
    prepare();
    last_ = std::max(last_, seq);
    if (Channel* channel = broker_.find(name)) {
        reset(*channel, [&](History& history) { history.clear(garbage_); });
        channel->retained = nullptr;
    }
    garbage_.clear();
    return true;
}

bool LocalBroker::Loader::on_marker(const std::string& user, const std::string& channel,
                                    uint64_t seq) {
    prepare();
    ReadMark mark;
    mark.user = user;
    mark.channel = channel;
    mark.position = {broker_.epoch_, seq};
    broker_.move_marker_to(mark);
    return true;
}

bool LocalBroker::Loader::on_channel(const std::string& name, uint64_t n, uint64_t trimmed) {
    prepare();
    Channel* channel = find_or_make(name, trimmed);
    if (!channel)
        return true;
    reset(*channel, [&](History& history) {
        history = History();
        history.raise_trimmed(trimmed);
    });
    channel->retained = nullptr;
    channel->n = n;
    return true;
}

bool LocalBroker::Loader::on_watermark(size_t index, uint64_t seq) {
    prepare();
    if (index >= broker_.watermarks_.size())
        return false;
    broker_.watermarks_[index] = std::max(broker_.watermarks_[index], seq);
    return true;
}

bool LocalBroker::Loader::on_key(LoggedKey&& key) {
    prepare();
    last_ = std::max(last_, key.entry.position.seq);
    key.entry.position.epoch = broker_.epoch_;
    remember_key(key.channel, key.key, key.entry, clock_of(key.used_at));
    return true;
}

void LocalBroker::Loader::finish() {
    prepare();
    broker_.limits_.channels = most_channels_;
    std::vector<Keyed<Channel>> made;
    for (Channel* channel : made_)
        made.push_back({0, channel});
    sort_by_name<Channel>(made);
    for (const auto& [key, channel] : made)
        broker_.by_name_.insert(broker_.by_name_.end(), channel);
    for (const auto& [key, channel] : made) {
        broker_.expire(*channel, now_, garbage_);
        broker_.schedule(*channel);
        broker_.free_if_empty(*channel);
    }
    broker_.is_by_name_late_ = false;
    broker_.reached_.clear(); // of markers, and told when it happened
    broker_.earlier_watermark_ =
        *std::max_element(broker_.watermarks_.begin(), broker_.watermarks_.end());
}

// Null where the configuration has no section for it any more: what it had is gone.
LocalBroker::Channel* LocalBroker::Loader::find_or_make(const std::string& name, uint64_t seq) {
    auto refused = Published::Status::Published;
    const size_t before = broker_.channels_.size();
    Channel* channel = broker_.find_or_make(name, refused);
    if (broker_.channels_.size() > before)
        made_.push_back(channel);
    if (!channel) {
        uint64_t& mark = broker_.watermark(name);
        mark = std::max(mark, seq);
    }
    return channel;
}

template <typename Change> void LocalBroker::Loader::reset(Channel& channel, Change change) {
    broker_.kept_bytes_ -= channel.history.bytes();
    change(channel.history);
    broker_.kept_bytes_ += channel.history.bytes();
}

bool LocalBroker::Loader::append(Channel& channel, const MessageRef& message) {
    History& history = channel.history;
    if (!history.empty() && history.at(history.size() - 1).position.seq >= message->position.seq)
        return false;
    reset(channel, [&](History& to) { to.append(message, *channel.settings, now_, garbage_); });
    garbage_.clear();
    return true;
}

void LocalBroker::Loader::remember_key(const std::string& channel, const std::string& key,
                                       const IdempotencyKeys::Entry& entry, Millis used_at) {
    if (used_at + IdempotencyKeys::kLifetime > now_ && !broker_.keys_.find(channel, key, used_at))
        broker_.keys_.insert(channel, key, entry, used_at);
}

} // namespace fanhorn
