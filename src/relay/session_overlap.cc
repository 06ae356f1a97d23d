// SPDX-License-Identifier: Apache-2.0
// Sessions: what several subscriptions of one match is sent once.
#include "relay/hub.h"
#include "relay/session.h"

#include <algorithm>

namespace fanhorn {

bool Session::is_patched_twice(const Step& step) const {
    const auto is_wild = [&](const std::string& name) {
        return std::any_of(wildcards_.begin(), wildcards_.end(),
                           [&](const Member* each) { return each->pattern->matches(name); });
    };
    if (step.is_patched)
        return std::any_of(step.channels.begin(), step.channels.end(), is_wild);
    return std::any_of(step.channels.begin(), step.channels.end(), [&](const std::string& name) {
        const auto pattern = Pattern::parse(name);
        return is_wildcard(name) && pattern &&
               std::any_of(members_.begin(), members_.end(), [&](const auto& each) {
                   return each->is_patched && pattern->matches(each->name);
               });
    });
}

// A new one: what it has in common with those that are there.
void Session::share(Member& member) {
    if (!is_wildcard(member.name)) {
        for (Member* each : wildcards_)
            if (each->pattern->matches(member.name))
                share(*each, member);
        return;
    }
    member.pattern = std::make_unique<const Pattern>(std::move(*Pattern::parse(member.name)));
    for (const auto& each : members_)
        // Two wildcards are not compared: they may match the same names.
        if (each.get() != &member && (each->pattern || member.pattern->matches(each->name)))
            share(*each, member);
    wildcards_.push_back(&member);
}

void Session::share(Member& one, Member& other) {
    for (Member* each : {&one, &other}) {
        each->is_shared = true;
        if (each->feed)
            each->feed->keep_messages();
    }
}

bool Session::is_brought(const Member& member, const Frame& frame) const {
    const Message* message = frame.message.get();
    return is_brought(member, message ? message->channel : member.name, frame.seq, message);
}

// Whether another subscription has sent that message, which is one of the member's. Null: only its
// seq is known, as it came before the other one did.
bool Session::is_brought(const Member& member, std::string_view channel, uint64_t seq,
                         const Message* message) const {
    if (!member.is_shared)
        return false;
    const auto has_brought = [&](const Member& other) {
        return &other != &member && other.feed && seq > other.from && seq <= other.to &&
               (message ? other.feed->wants(*message) : !other.feed->filter());
    };
    const auto found = members_.find(channel);
    if (found != members_.end() && has_brought(**found))
        return true;
    // A wildcard has only what is of its own section.
    const ChannelSettings& settings = member.feed->channel().settings();
    return std::any_of(wildcards_.begin(), wildcards_.end(), [&](const Member* each) {
        return has_brought(*each) && &each->feed->channel().settings() == &settings &&
               each->pattern->matches(channel);
    });
}

Session::Member* Session::find_member(const Placement& placement, std::string_view channel) const {
    const auto found = members_.find(channel);
    if (found != members_.end() && (*found)->placement == &placement)
        return found->get();
    for (Member* each : placement.members)
        if (each->pattern && each->pattern->matches(channel))
            return each;
    return nullptr;
}

} // namespace fanhorn
