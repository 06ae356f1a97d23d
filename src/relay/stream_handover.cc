// SPDX-License-Identifier: Apache-2.0
// Streams that another process goes on with.
#include "relay/hub.h"
#include "relay/stream_subscriber.h"

#include <algorithm>

namespace fanhorn {

// What is rendered has been given to its client: history is read from behind it.
std::optional<HandedSubscriber> StreamSubscriber::hand_over() const {
    if (state() != State::Live && state() != State::Replaying)
        return std::nullopt;
    auto part = handed_part();
    if (!part || part->channels.empty())
        return std::nullopt;
    HandedSubscriber handed;
    handed.owes_position = owes_position_;
    outbox_.append_to(handed.unsent);
    part->position = handed_position();
    const bool is_live = state() == State::Live && position_.epoch == end_->epoch;
    if (is_live && append_frames(handed.unsent))
        part->position.seq = std::max(part->position.seq, end_->delivered);
    else
        part->is_behind = is_live || fell_back_;
    handed.told = part->position;
    handed.parts.push_back(std::move(*part));
    return handed;
}

// Behind what the outbox has.
Position StreamSubscriber::handed_position() const {
    if (state() == State::Replaying && replay_->is_read)
        return {replay_->epoch, replay_->rest.after};
    return {position_.epoch, std::max(position_.seq, outbox_.rest_seq())};
}

// What the feeds have for it, in the order of seqs. False, and nothing: it is not all there, or
// too much.
bool StreamSubscriber::append_frames(std::string& out) const {
    const auto begin = out.size();
    std::vector<uint64_t> next;
    for (size_t i = 0; i < channel_count(); ++i) {
        const Subscription& each = subscription(i);
        const bool has_none =
            each.place == Subscription::Place::Gone || each.place == Subscription::Place::Young;
        next.push_back(has_none ? UINT64_MAX : each.ordinal);
        if (is_overtaken(each) && !has_none)
            return false;
    }
    while (out.size() - begin <= kMaxHandedBytes) {
        const Frame* first = nullptr;
        size_t from = 0;
        for (size_t i = 0; i < channel_count(); ++i) {
            if (next[i] == UINT64_MAX || next[i] >= subscription(i).feed->next())
                continue;
            const Frame& frame = subscription(i).feed->backlog().at(next[i]);
            if (first && first->seq <= frame.seq)
                continue;
            first = &frame;
            from = i;
        }
        if (!first)
            return true;
        ++next[from];
        if (!first->is_excluded(connection_))
            out.append(first->segment->bytes, first->begin, first->size());
    }
    out.resize(begin);
    return false;
}

} // namespace fanhorn
