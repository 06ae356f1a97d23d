// SPDX-License-Identifier: Apache-2.0
// The local broker: subscriptions to all the channels that a pattern matches.
#include "modules/broker_local_channel.h"

#include <algorithm>

namespace fanhorn {

// To find a channel that a wildcard matches it may look at so many: those begin as it does.
static constexpr size_t kLooksForOne = 16;

std::u16string* LocalBroker::wildcard_wanters(const std::string& name, Start::Status& refused) {
    if (Wildcard* wildcard = wildcards_.find(name)) {
        const ChannelSettings* settings = settings_of(*wildcard);
        return !settings || has_room(*settings, *wildcard->audience, refused) ? &wildcard->wanted
                                                                              : nullptr;
    }
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
    const size_t most = limits_.wildcard_channels;
    size_t looked_at = 0;
    auto next = by_name_.lower_bound(beginning);
    while (settings && next != by_name_.end() && (*next)->name.starts_with(beginning)) {
        Channel& channel = **next;
        if (is_reserved(channel.name)) { // reserved, all of them
            next = by_name_.lower_bound("%");
            continue;
        }
        settings_of(channel);
        if (channel.settings == settings && wildcard.pattern.matches(channel.name))
            matched.push_back(&channel);
        if (matched.size() > most || ++looked_at > most * kLooksForOne) {
            reached(Limit::WildcardChannels);
            matched.clear();
            return false;
        }
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
    if (since.position.seq < freed_of(wildcard))
        return gap;
    return std::nullopt;
}

// The newest seq that channels of its section had trimmed when they were freed.
uint64_t LocalBroker::freed_of(Wildcard& wildcard) {
    const auto found = section_watermarks_.find(settings_of(wildcard));
    return found == section_watermarks_.end() ? earlier_watermark_
                                              : std::max(found->second, earlier_watermark_);
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
    start.gap = wildcard_gap(*wildcard, since);
    if (!find_matched(*wildcard, matched)) {
        const Position from =
            since.kind == Since::Kind::After ? since.position : Position{epoch_, 0};
        if (since.kind != Since::Kind::Latest && from.seq < head_ && !start.gap)
            start.gap = Gap{name, from, {}, Gap::Why::Trimmed};
        return start;
    }
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
