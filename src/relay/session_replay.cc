// SPDX-License-Identifier: Apache-2.0
// Sessions: what a step replays, and what becomes of those who are behind.
#include "relay/hub.h"
#include "relay/session.h"

#include <algorithm>

namespace fanhorn {

void Session::replay(std::unique_ptr<Placement> placement) {
    for (Member* each : placement->members) {
        each->placement = placement.get();
        each->sent = placement->rest.after;
        each->is_based = false;
    }
    placement->rest.max_bytes = kReplayBytes;
    // With nothing to replay it is live at once: who has been told that he is there misses nothing,
    // not even what nobody stores.
    const bool is_live = placement->is_read && placement->retained.empty() && is_done(*placement);
    if (!is_live)
        placements_.push_back(std::move(placement));
    wake();
}

// One step of the first placement, all that was read before being sent. False: nothing to do now.
bool Session::replay_some() {
    if (placements_.empty() || is_asked_)
        return false;
    Placement& placement = *placements_.front();
    const bool has_retained = !placement.members.empty() && !placement.retained.empty();
    if (has_retained)
        send_retained(placement);
    else if (placement.members.empty() || (placement.is_read && is_done(placement)))
        placements_.pop_front();
    else
        read_page(placement);
    return !is_asked_;
}

// Of what wildcards match; at the reader's pace, as they may be many. A channel of the same step
// has been given its own.
void Session::send_retained(Placement& placement) {
    std::string& out = outbox_.own();
    while (!placement.retained.empty() && out.size() < kReplayBytes) {
        const MessageRef retained = std::move(placement.retained.front());
        placement.retained.pop_front();
        const Member* member = find_member(placement, retained->channel);
        if (member && member->pattern && member->feed->wants(*retained) &&
            !is_brought(*member, retained->channel, retained->position.seq, retained.get()))
            encoding_.retained(out, *retained);
    }
}

bool Session::is_done(Placement& placement) {
    const uint64_t seq = placement.rest.after;
    bool can_join = placement.is_end;
    for (Member* each : placement.members) {
        each->sent = seq;
        can_join = can_join && seq >= each->feed->floor();
    }
    if (!can_join)
        return false;
    for (Member* each : placement.members) {
        each->placement = nullptr;
        if (!placement.is_resumed)
            caught_up(*each);
        each->feed->join(*each, seq);
    }
    for (Member* each : std::vector(std::move(placement.members)))
        if (each->ending != Subscription::Ending::No && each->place != Subscription::Place::Held)
            end(*each, ending_code(each->ending));
    return true;
}

// The broker answers at once or later.
void Session::read_page(Placement& placement) {
    Conflation* const conflation = placement.conflation.get();
    const bool looks_ahead = conflation && conflation->wants_scan(placement.rest.after);
    if (!looks_ahead)
        placement.is_read = false;
    is_asked_ = true;
    const Stretch& stretch = looks_ahead ? conflation->scan(placement.rest) : placement.rest;
    end_->broker->read(stretch, [line = line_](Page page) {
        if (Session* session = line->session; session && session->state() == State::Live)
            session->on_page(std::move(page));
    });
}

void Session::on_page(Page page) {
    is_asked_ = false;
    Placement& placement = *placements_.front();
    if (placement.conflation && placement.conflation->is_scanning())
        look_ahead(placement, std::move(page));
    else
        take(placement, std::move(page));
    wake();
}

// Who is conflated for has a placement of its own.
void Session::look_ahead(Placement& placement, Page page) {
    for (Member* member : placement.members)
        for (const MessageRef& message : page.messages)
            if (wants(*member, *message))
                placement.conflation->note(*message, conflate_tag(*member));
    placement.conflation->end_page(std::move(page));
}

void Session::take(Placement& placement, Page page) {
    Conflation* const conflation = placement.conflation.get();
    if (conflation)
        conflation->use();
    for (Gap& gap : page.gaps) {
        if (placement.is_ours && gap.why != Gap::Why::Broker)
            gap.why = Gap::Why::Overflow;
        Member* member = find_member(placement, gap.channel);
        if (!member)
            continue;
        append_gap(gap);
        member->from = page.rest.after; // another one may have had it
    }
    for (const MessageRef& message : page.messages) {
        Member* member = find_member(placement, message->channel);
        if (!member || !wants(*member, *message) ||
            is_brought(*member, message->channel, message->position.seq, message.get()) ||
            (conflation && conflation->is_superseded(*message, conflate_tag(*member))))
            continue;
        encoding_.message(outbox_.own(), *message);
        sent(*member, 1, 0);
    }
    epoch_ = page.epoch;
    for (Member* each : placement.members)
        each->to = std::max(each->to, page.rest.after);
    std::erase_if(page.rest.parts,
                  [&](const StretchPart& part) { return !find_member(placement, part.channel); });
    placement.rest = std::move(page.rest);
    placement.is_end = page.is_end;
    placement.is_read = true;
}

bool Session::wants(const Member& member, const Message& message) const {
    return !message.is_excluded(connection_) && member.feed->wants(message);
}

std::string_view Session::conflate_tag(const Member& member) {
    return member.feed->channel().settings().conflate;
}

// ---- who is behind

// The feed has dropped what comes next: history may still have it.
void Session::fall_back(Member& member, std::unique_ptr<Conflation> conflation) {
    member.feed->put_away(member);
    auto placement = std::make_unique<Placement>();
    placement->members = {&member};
    placement->is_ours = true;
    placement->conflation = std::move(conflation);
    placement->rest.after = member.sent;
    placement->rest.epoch = epoch_;
    placement->rest.parts.push_back({member.name, 0});
    replay(std::move(placement));
}

// The socket takes bytes again after a while. False when the connection was closed, or is full.
bool Session::skip_those_over() {
    for (Subscription* each = pending_.front(); each;) {
        Subscription* next = pending_.next(*each);
        if (runs_over(*each) && !skip(member(*each)))
            return false;
        each = next;
    }
    return true;
}

bool Session::skip(Member& member) {
    const Feed& feed = *member.feed;
    const SlowConsumer policy = feed.channel().settings().slow_consumer;
    if (feed.first() == feed.next()) { // the mailbox ran over: history may still have it
        fall_back(member);
        return true;
    }
    note_slow(policy);
    was_noted_ = false;
    if (policy == SlowConsumer::Disconnect) {
        close({.why = Farewell::Why::SlowConsumer});
        return false;
    }
    if (policy == SlowConsumer::Gap && !conflate_tag(member).empty()) {
        fall_back(member, std::make_unique<Conflation>());
        return true;
    }
    append_gap(feed.skip(member, {end_->epoch, member.sent}));
    member.from = end_->delivered;
    member.is_based = false;
    member.owes_position = true;
    return true;
}

void Session::on_stalled(Millis now, Millis send_timeout) {
    if (end_if_stuck(now, send_timeout) || state() != State::Live)
        return;
    for (Subscription* each = pending_.front(); each; each = pending_.next(*each)) {
        if (!runs_over(*each) || each->feed->first() == each->feed->next())
            continue;
        const SlowConsumer policy = each->feed->channel().settings().slow_consumer;
        if (policy == SlowConsumer::Disconnect)
            return static_cast<void>(skip(member(*each)));
        note_slow(policy); // it is told when it reads again
    }
}

} // namespace fanhorn
