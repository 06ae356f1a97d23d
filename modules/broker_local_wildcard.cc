// SPDX-License-Identifier: Apache-2.0
// The local broker: subscriptions to all the channels that a pattern matches.
#include "modules/broker_local_channel.h"

#include <algorithm>

namespace fanhorn {

std::u16string* LocalBroker::wildcard_wanters(const std::string& name, Start::Status& refused) {
    if (Wildcard* wildcard = wildcards_.find(name))
        return &wildcard->wanted;
    auto pattern = Pattern::parse(name);
    if (!pattern || !rules_->settings_for_wildcard(*pattern)) {
        refused = Start::Status::NoSection;
        return nullptr;
    }
    if (wildcards_.size() >= limits_.wildcards) {
        refused = Start::Status::WildcardsFull;
        reached(Limit::Wildcards);
        return nullptr;
    }
    auto made = std::make_unique<Wildcard>();
    made->pattern = std::move(*pattern);
    return &wildcards_.insert(std::move(made)).wanted;
}

// Null where a reload took its section away.
const ChannelSettings* LocalBroker::settings_of(Wildcard& wildcard) {
    if (wildcard.generation != generation_) {
        wildcard.settings = rules_->settings_for_wildcard(wildcard.pattern);
        wildcard.generation = generation_;
    }
    return wildcard.settings;
}

// Those that there are now. False, and none, where that is too many channels to look at.
bool LocalBroker::find_matched(Wildcard& wildcard, std::vector<Channel*>& matched) {
    const ChannelSettings* settings = settings_of(wildcard);
    const std::string_view beginning = wildcard.pattern.literal();
    size_t left = limits_.wildcard_channels;
    auto next = by_name_.lower_bound(beginning);
    while (settings && next != by_name_.end() && (*next)->name.starts_with(beginning)) {
        Channel& channel = **next;
        if (channel.name.front() == '$') { // reserved, all of them
            next = by_name_.lower_bound("%");
            continue;
        }
        if (left-- == 0) {
            reached(Limit::WildcardChannels);
            matched.clear();
            return false;
        }
        settings_of(channel);
        if (channel.settings == settings && wildcard.pattern.matches(channel.name))
            matched.push_back(&channel);
        ++next;
    }
    return true;
}

// Of all its channels together. One that was freed has left no name, only what its section trimmed.
std::optional<Gap> LocalBroker::wildcard_gap(Wildcard& wildcard, const Since& since) {
    if (since.kind != Since::Kind::After)
        return std::nullopt;
    Gap gap{wildcard.pattern.text(), since.position, {}, Gap::Why::Epoch};
    if (since.position.epoch != epoch_)
        return gap;
    gap.why = Gap::Why::Ahead;
    if (since.position.seq > head_)
        return gap;
    gap.why = Gap::Why::Trimmed;
    const auto found = section_watermarks_.find(settings_of(wildcard));
    const uint64_t freed = found == section_watermarks_.end() ? 0 : found->second;
    if (since.position.seq < std::max(freed, earlier_watermark_))
        return gap;
    return std::nullopt;
}

ChannelStart LocalBroker::start_wildcard(const std::string& name, const Since& since, Millis now,
                                         uint64_t& lowest) {
    ChannelStart start;
    start.floor = head_;
    Wildcard* wildcard = wildcards_.find(name);
    if (!wildcard)
        return start;
    start.audience = wildcard->audience;
    std::vector<Channel*> matched;
    if (!find_matched(*wildcard, matched)) {
        const bool is_after = since.kind == Since::Kind::After;
        if (since.kind != Since::Kind::Latest)
            start.gap =
                Gap{name, is_after ? since.position : Position{epoch_, 0}, {}, Gap::Why::Trimmed};
        return start;
    }
    start.gap = wildcard_gap(*wildcard, since);
    if (since.kind == Since::Kind::After && !start.gap)
        start.floor = since.position.seq;
    for (Channel* channel : matched) {
        ChannelStart one = start_channel(channel->name, since, now, lowest);
        if (one.retained)
            start.matched_retained.push_back(std::move(one.retained));
        const History& history = channel->history;
        const size_t first = history.first_after(one.floor);
        if (first < history.size() && start.gap) {
            const Position next = history.at(first).position;
            if (!start.gap->next.epoch || next.seq < start.gap->next.seq)
                start.gap->next = next;
        }
        if (first < history.size() || one.floor < history.trimmed())
            start.matched.push_back({channel->name, one.floor});
    }
    return start;
}

} // namespace fanhorn
