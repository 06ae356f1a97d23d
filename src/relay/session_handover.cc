// SPDX-License-Identifier: Apache-2.0
// Sessions that another process goes on with.
#include "relay/hub.h"
#include "relay/session.h"

#include <algorithm>

namespace fanhorn {

void Session::resume(const HandedSubscriber& handed) {
    position_ = handed.told;
    enter(State::Live);
    if (!head_.empty())
        outbox_.own() += head_;
    std::string().swap(head_);
    wake();
}

// Members with one position are one step there. What is rendered has been given to its client.
std::optional<HandedSubscriber> Session::hand_over() const {
    if (state() != State::Live)
        return std::nullopt;
    HandedSubscriber handed;
    outbox_.append_to(handed.unsent);
    for (const auto& each : members_) {
        auto part = handed_part(*each);
        if (!part)
            return std::nullopt;
        const bool is_live = part->is_caught_up && part->position.epoch == end_->epoch;
        if (is_live && append_frames(*each, handed.unsent))
            part->position.seq = std::max(part->position.seq, end_->delivered);
        else
            part->is_behind = is_live || (each->placement && each->placement->is_ours);
        const auto same = std::ranges::find_if(handed.parts, [&](const HandedPart& other) {
            return !part->is_behind && !other.is_behind && other.position == part->position &&
                   other.filter == part->filter && other.is_patched == part->is_patched &&
                   other.is_caught_up == part->is_caught_up;
        });
        if (same == handed.parts.end())
            handed.parts.push_back(std::move(*part));
        else
            same->channels.push_back(each->name);
    }
    handed.told = position();
    return handed;
}

// Without the frames that its feed has for it. None: it is in between.
std::optional<HandedPart> Session::handed_part(const Member& member) const {
    if (!is_settled(member) || member.owes_position ||
        (member.placement && !member.placement->retained.empty()))
        return std::nullopt;
    HandedPart part;
    part.channels.push_back(member.name);
    if (const Filter* filter = member.feed->filter())
        part.filter = filter->text();
    part.is_patched = member.is_patched;
    part.is_caught_up = !member.placement;
    part.position = {epoch_, member.placement ? member.placement->rest.after : member.sent};
    if (rest_of_ == &member)
        part.position.seq = std::max(part.position.seq, outbox_.rest_seq());
    return part;
}

// False, and nothing: what there is can not be sent as it is, or not all of it is there.
bool Session::append_frames(const Member& member, std::string& out) const {
    const Feed& feed = *member.feed;
    if (member.place == Subscription::Place::Young || member.ordinal == feed.next())
        return true;
    if (is_overtaken(member) || member.is_shared ||
        (feed.encoding().makes_patches() && (!member.is_based || feed.backlog().has_selective())) ||
        feed.bytes_behind(member) > kMaxHandedBytes)
        return false;
    for (uint64_t i = member.ordinal; i < feed.next(); ++i)
        if (const Frame& frame = feed.backlog().at(i); !frame.is_excluded(connection_))
            out.append(frame.segment->bytes, frame.begin, frame.size());
    return true;
}

} // namespace fanhorn
