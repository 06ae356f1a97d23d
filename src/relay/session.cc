// SPDX-License-Identifier: Apache-2.0
#include "relay/session.h"

#include "relay/hub.h"

#include <algorithm>
#include <tuple>

namespace fanhorn {

// A channel may be asked for by itself, and found by a wildcard or two.
static void retain_once(std::deque<MessageRef>& retained) {
    const auto seq = [](const MessageRef& each) { return each->position.seq; };
    std::ranges::sort(retained, {}, seq);
    const auto same = [&](const MessageRef& a, const MessageRef& b) { return seq(a) == seq(b); };
    retained.erase(std::unique(retained.begin(), retained.end(), same), retained.end());
}

static void name_once(std::vector<StretchPart>& parts) {
    std::sort(parts.begin(), parts.end(), [](const StretchPart& a, const StretchPart& b) {
        return std::tie(a.channel, a.floor) < std::tie(b.channel, b.floor);
    });
    const auto end =
        std::unique(parts.begin(), parts.end(), [](const StretchPart& a, const StretchPart& b) {
            return a.channel == b.channel;
        });
    parts.erase(end, parts.end());
}

Session::Session(Sink& sink, const Wish& wish, std::string head, Encoding* patching)
    : Subscriber(sink, wish, false), line_(make_ref<Line>(this)), patching_(patching),
      head_(std::move(head)) {}

Session::~Session() {
    line_->session = nullptr;
    for (const auto& each : members_)
        if (each->feed)
            hub().leave(*each);
    for (const auto& each : gone_)
        if (each->feed)
            hub().leave(*each);
}

void Session::retire_all() {
    for (const auto& each : members_) {
        each->attendance = nullptr;
        if (each->feed && each->place != Subscription::Place::Gone)
            hub().retire(*each);
    }
}

void Session::set_end(BrokerEnd& end) {
    CHECK(members_.empty());
    end_ = &end;
}

// ---- channels come and go

void Session::begin(const Wish& wish) {
    if (!wish.channels.empty())
        return subscribe({.channels = wish.channels,
                          .settings = wish.settings,
                          .since = wish.since,
                          .filter = wish.filter});
    Start start;
    start.told = {end_->epoch, end_->delivered};
    open(start);
    flush();
}

void Session::open(const Start& start) {
    position_ = start.told;
    enter(State::Live);
    std::string& out = outbox_.own();
    out += head_;
    std::string().swap(head_);
    encoding_.hello(out, {connection_, start.told, heartbeat_every()});
}

void Session::subscribe(Step step) {
    free_gone();
    std::vector<Member*> members;
    for (std::string& channel : step.channels) {
        auto made = std::make_unique<Member>(channel);
        members.push_back(made.get());
        CHECK(members_.insert(std::move(made)).second);
        members.back()->is_patched = step.is_patched;
        share(*members.back());
    }
    const auto kept = std::make_shared<Step>(std::move(step));
    end_->broker->subscribe(
        end_->worker, kept->channels, kept->since,
        [line = line_, end = end_, kept, members = std::move(members)](const Start& start) {
            Session* session = line->session;
            if (session && session->state() != State::Closing && session->state() != State::Closed)
                session->on_placed(*kept, members, start);
            else if (start.status == Start::Status::Placed)
                end->hub->decline(*end, kept->channels);
        });
}

void Session::on_placed(Step& step, const std::vector<Member*>& members, const Start& start) {
    if (start.status != Start::Status::Placed) {
        hub().decline(*end_, step.channels);
        for (Member* each : members)
            drop(*each);
        return refuse(step, start);
    }
    if (state() == State::Placing)
        open(start);
    tell(step, start);
    std::string& out = outbox_.own();
    auto placement = std::make_unique<Placement>();
    placement->members = members;
    placement->is_resumed = step.is_resumed;
    placement->is_ours = step.is_behind;
    if (step.is_behind && members.size() == 1 && !step.settings[0]->conflate.empty())
        placement->conflation = std::make_unique<Conflation>();
    placement->rest.after = start.after;
    placement->rest.epoch = epoch_ = start.epoch;
    placement->is_read = placement->is_end = start.after >= start.head;
    for (size_t i = 0; i < members.size(); ++i) {
        const ChannelStart& channel = start.channels[i];
        Member& each = *members[i];
        each.subscriber = this;
        hub().enter(each, encoding_of(step), each.name, *end_, *step.settings[i], start, channel,
                    step.filter);
        each.from = each.to = channel.floor;
        if (each.is_shared || each.pattern)
            each.feed->keep_messages();
        if (!user_.empty() && step.settings[i]->presence && !each.pattern)
            each.attendance =
                std::make_unique<Attendance>(*end_, each.name, Attendee{user_, info_}, connection_);
        if (channel.retained && each.feed->wants(*channel.retained))
            encoding_.retained(out, *channel.retained);
        for (const MessageRef& retained : channel.matched_retained)
            placement->retained.push_back(retained);
        if (channel.gap)
            append_gap(*channel.gap);
        placement->rest.parts.push_back({each.name, each.pattern ? start.head : channel.floor});
        for (const StretchPart& part : channel.matched)
            placement->rest.parts.push_back(part);
    }
    if (members.size() > 1 && !wildcards_.empty()) {
        name_once(placement->rest.parts);
        retain_once(placement->retained);
    }
    replay(std::move(placement));
}

void Session::refuse(const Step& step, const Start& start) {
    if (state() == State::Placing) {
        enter(State::Closed);
        return sink_.refuse(start.status);
    }
    tell(step, start);
    wake();
}

void Session::tell(const Step& step, const Start& start) {
    if (step.reply)
        encoding_.reply(outbox_.own(), step.reply(start));
}

bool Session::has_room_for(const Step& step, size_t limit) const {
    return !step.filter ||
           hub().has_room_for(*step.filter, encoding_of(step), step.channels, limit);
}

bool Session::unsubscribe(std::string_view channel) {
    const auto found = members_.find(channel);
    if (found == members_.end())
        return false;
    drop(**found);
    return true;
}

std::vector<std::string> Session::channels() const {
    std::vector<std::string> names;
    for (const auto& each : members_)
        names.push_back(each->name);
    return names;
}

// Out of its feed now, and out of the hub at the end of the turn: until then it must live.
void Session::drop(Member& member) {
    if (rest_of_ == &member)
        rest_of_ = nullptr;
    if (member.placement)
        drop(member, *member.placement);
    std::erase(wildcards_, &member);
    member.attendance = nullptr;
    if (member.feed)
        hub().retire(member);
    const auto found = members_.find(member.key());
    gone_.push_back(std::move(members_.extract(found).value()));
}

// What a placement was for nobody waits for, unless a page is on its way to the first.
void Session::drop(Member& member, Placement& placement) {
    std::erase(placement.members, &member);
    std::erase_if(placement.rest.parts,
                  [&](const StretchPart& part) { return part.channel == member.name; });
    if (!placement.members.empty())
        return;
    const auto found = std::find_if(placements_.begin() + (is_asked_ ? 1 : 0), placements_.end(),
                                    [&](const auto& each) { return each.get() == &placement; });
    if (found != placements_.end())
        placements_.erase(found);
}

size_t Session::waiting_parts() const {
    size_t parts = 0;
    for (const auto& placement : placements_)
        parts += placement->rest.parts.size() + placement->retained.size();
    return parts;
}

void Session::free_gone() {
    std::erase_if(gone_, [](const auto& each) { return !each->feed; });
}

// ---- sending

void Session::say(std::string_view json) {
    if (state() != State::Live)
        return;
    encoding_.reply(outbox_.own(), json);
    wake();
}

// What one turn brings goes out together.
void Session::wake() {
    if (!is_stalled() && !is_flushing_ && !turn.is_linked())
        hub().add_ready(*this);
}

Position Session::position() const {
    if (state() != State::Live || is_stalled() || !pending_.empty() || !placements_.empty())
        return position_;
    return {end_->epoch, std::max(position_.seq, end_->delivered)};
}

void Session::on_pending(Subscription& subscription) {
    pending_.push_back(subscription);
    wake();
}

size_t Session::bytes_behind() const {
    size_t bytes = Subscriber::bytes_behind();
    for (Subscription* each = pending_.front(); each; each = pending_.next(*each))
        bytes += each->feed->bytes_behind(*each);
    return bytes;
}

void Session::on_writable() {
    if (!is_stalled() || state() == State::Closed)
        return;
    turn.unlink();
    stalled_since_ = 0;
    if (!send_outbox())
        return;
    if (state() == State::Closing)
        sink_.finish();
    else if (skip_those_over())
        flush();
}

void Session::flush() {
    if (state() != State::Live || is_stalled())
        return;
    is_flushing_ = true;
    while (send_outbox()) {
        Subscription* next = pending_.front();
        if (next ? !send(member(*next)) : !replay_some())
            break;
    }
    is_flushing_ = false;
    if (state() == State::Live)
        position_ = position();
    free_gone();
}

// One write of what a member has to get. False when the socket is full or broken.
bool Session::send(Member& member) {
    const Feed& feed = *member.feed;
    if (member.ordinal < feed.first()) {
        fall_back(member);
        return true;
    }
    if (member.ordinal == feed.next())
        return settle(member);
    const Backlog& backlog = feed.backlog();
    if (member.is_shared ||
        (feed.encoding().makes_patches() && (!member.is_based || backlog.has_selective()))) {
        send_whole(member);
        return true;
    }
    iovec pieces[kPieces];
    uint64_t end = member.ordinal;
    const int count = backlog.gather(end, connection_, pieces, kPieces);
    size_t bytes = 0;
    for (int i = 0; i < count; ++i)
        bytes += pieces[i].iov_len;
    const ssize_t result = count ? sink_.write(pieces, count) : 0;
    if (result < 0) {
        abandon();
        return false;
    }
    if (static_cast<size_t>(result) == bytes) {
        sent(member, backlog.count(member.ordinal, end, connection_), backlog.at(end - 1).seq);
        member.ordinal = end;
        return true;
    }
    const Backlog::Written written =
        backlog.advance(member.ordinal, connection_, static_cast<size_t>(result));
    member.ordinal = written.ordinal;
    sent(member, written.messages, written.seq);
    if (written.segment) {
        outbox_.set_rest({written.segment, written.begin, written.end, written.partial_seq});
        rest_of_ = &member;
    }
    stall();
    return false;
}

// A frame for a reader who has not the state that it may be a patch of, or who may have it already.
void Session::send_whole(Member& member) {
    const Frame& frame = member.feed->backlog().at(member.ordinal++);
    const bool is_state = frame.message && frame.message->is_state();
    member.is_based = member.is_based && !is_state;
    const bool is_due = !frame.is_excluded(connection_) && !is_brought(member, frame);
    if (is_due && frame.message)
        encoding_.message(outbox_.own(), *frame.message);
    else if (is_due)
        outbox_.own().append(frame.segment->bytes, frame.begin, frame.size());
    member.is_based = member.is_based || (is_due && is_state);
    sent(member, is_due ? 1 : 0, frame.seq);
}

void Session::on_rest_sent(uint64_t seq) {
    if (rest_of_)
        sent(*rest_of_, 0, seq);
    rest_of_ = nullptr;
}

void Session::sent(Member& member, uint64_t messages, uint64_t seq) {
    member.sent = std::max(member.sent, seq);
    member.to = std::max(member.to, seq);
    if (messages == 0)
        return;
    hub().counters().deliveries[static_cast<size_t>(encoding_.use())].add(messages);
    member.owes_position = false;
}

// It has everything: it waits again.
bool Session::settle(Member& member) {
    member.feed->caught_up(member);
    member.sent = std::max(member.sent, end_->delivered);
    member.to = std::max(member.to, member.sent);
    if (member.owes_position)
        caught_up(member);
    if (member.ending != Subscription::Ending::No)
        end(member, ending_code(member.ending));
    return true;
}

void Session::caught_up(Member& member) {
    encoding_.caught_up(outbox_.own(), member.name, {end_->epoch, member.sent});
    member.owes_position = false;
}

void Session::append_gap(const Gap& gap) {
    hub().counters().gap(gap.why);
    encoding_.gap(outbox_.own(), gap);
}

// ---- ends

void Session::on_ending(Subscription& subscription) {
    const bool has_all = subscription.place == Subscription::Place::Young ||
                         (subscription.place == Subscription::Place::Waiting &&
                          subscription.ordinal == subscription.feed->next());
    if (state() == State::Live && has_all) // else when it has caught up
        end(member(subscription), ending_code(subscription.ending));
}

void Session::end(std::string_view channel, std::string_view code) {
    const auto found = members_.find(channel);
    CHECK(found != members_.end());
    end(**found, code);
}

void Session::end(Member& member, std::string_view code) {
    encoding_.end(outbox_.own(), member.name, code);
    drop(member);
    wake();
}

} // namespace fanhorn
