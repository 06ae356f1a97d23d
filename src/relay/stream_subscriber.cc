// SPDX-License-Identifier: Apache-2.0
#include "relay/stream_subscriber.h"

#include "relay/hub.h"

#include <algorithm>

namespace fanhorn {

StreamSubscriber::StreamSubscriber(Sink& sink, const Wish& wish, std::string head)
    : FixedSubscriber(sink, wish), replay_(std::make_unique<Replay>()) {
    replay_->head = std::move(head);
}

void StreamSubscriber::resume(bool owes_position, bool is_behind) {
    replay_->is_resumed = true;
    owes_position_ = owes_position;
    fell_back_ = is_behind;
}

// ---- opening and replay

void StreamSubscriber::on_start(Start start) {
    position_ = start.told;
    std::string& out = outbox_.own();
    out += replay_->head;
    if (!replay_->is_resumed)
        encoding_.hello(out, {connection_, start.told, heartbeat_every()});
    Stretch stretch;
    stretch.after = start.after;
    stretch.epoch = start.epoch;
    for (size_t i = 0; i < start.channels.size(); ++i) {
        const ChannelStart& channel = start.channels[i];
        if (channel.retained && subscription(i).feed->wants(*channel.retained))
            encoding_.retained(out, *channel.retained);
        if (channel.gap)
            append_gap(*channel.gap);
        stretch.parts.push_back({subscription(i).feed->channel().name(), channel.floor});
    }
    begin_replay(std::move(stretch));
    const bool is_nothing_kept = replay_->rest.after >= start.head;
    replay_->is_read = replay_->is_end = is_nothing_kept;
    if (fell_back_ && conflates())
        replay_->conflation = std::make_unique<Conflation>();
    replay_->epoch = start.epoch;
    replay_on();
}

void StreamSubscriber::begin_replay(Stretch stretch) {
    enter(State::Replaying);
    replay_ = std::make_unique<Replay>();
    replay_->rest = std::move(stretch);
    replay_->rest.max_bytes = kReplayBytes;
}

void StreamSubscriber::on_page(Page page) {
    replay_->is_asked = false;
    Conflation* const conflation = replay_->conflation.get();
    if (conflation && conflation->is_scanning())
        look_ahead(std::move(page));
    else
        take(std::move(page));
    if (!replay_->is_reading)
        replay_on();
}

bool StreamSubscriber::wants(const Message& message) {
    const Filter* const filter = this->filter();
    return !message.is_excluded(connection_) && (!filter || filter->matches(message.tags));
}

// What its channel conflates by; "": nothing.
std::string_view StreamSubscriber::conflate_tag(const Message& message) {
    for (size_t i = 0; i < channel_count(); ++i)
        if (const Feed* feed = subscription(i).feed;
            feed && feed->channel().name() == message.channel)
            return feed->channel().settings().conflate;
    return {};
}

bool StreamSubscriber::conflates() const {
    for (size_t i = 0; i < channel_count(); ++i)
        if (const Feed* feed = subscription(i).feed;
            feed && !feed->channel().settings().conflate.empty())
            return true;
    return false;
}

void StreamSubscriber::look_ahead(Page page) {
    for (const MessageRef& message : page.messages)
        if (wants(*message))
            replay_->conflation->note(*message, conflate_tag(*message));
    replay_->conflation->end_page(std::move(page));
}

void StreamSubscriber::take(Page page) {
    Conflation* const conflation = replay_->conflation.get();
    if (conflation)
        conflation->use();
    std::string& out = outbox_.own();
    for (Gap& gap : page.gaps) {
        if (fell_back_ && gap.why != Gap::Why::Broker)
            gap.why = Gap::Why::Overflow;
        append_gap(gap);
    }
    for (const MessageRef& message : page.messages) {
        if (!wants(*message) ||
            (conflation && conflation->is_superseded(*message, conflate_tag(*message))))
            continue;
        encoding_.message(out, *message);
        delivered(1, 0);
    }
    replay_->rest = std::move(page.rest);
    replay_->epoch = page.epoch;
    replay_->is_end = page.is_end;
    replay_->is_read = true;
}

// The broker answers at once or later.
void StreamSubscriber::read_page() {
    Conflation* const conflation = replay_->conflation.get();
    const bool looks_ahead = conflation && conflation->wants_scan(replay_->rest.after);
    if (!looks_ahead)
        replay_->is_read = false;
    replay_->is_asked = replay_->is_reading = true;
    read(looks_ahead ? conflation->scan(replay_->rest) : replay_->rest);
    replay_->is_reading = false;
}

// Writes what has been read and reads on, as far as the socket takes it.
void StreamSubscriber::replay_on() {
    while (send_outbox()) {
        if (replay_->is_read) { // else nothing of ours has been yet
            position_ = {replay_->epoch, replay_->rest.after};
            if (replay_->is_end && join(replay_->rest.after))
                return go_live();
        }
        read_page();
        if (replay_->is_asked)
            return;
    }
}

void StreamSubscriber::go_live() {
    replay_ = nullptr;
    fell_back_ = false;
    if (finish_endings())
        flush();
}

void StreamSubscriber::fall_back(std::unique_ptr<Conflation> conflation) {
    fell_back_ = true;
    begin_replay(put_away_all());
    replay_->conflation = std::move(conflation);
    replay_->epoch = end_->epoch;
    if (finish_endings()) // before any id that lies behind what they miss
        replay_on();
}

// ---- the socket

void StreamSubscriber::on_writable() {
    if (!is_stalled() || state() == State::Closed)
        return;
    turn.unlink();
    stalled_since_ = 0;
    if (!send_outbox())
        return;
    if (state() == State::Closing)
        sink_.finish();
    else if (state() == State::Replaying && !replay_->is_asked)
        replay_on();
    else if (state() == State::Live && skip_over_limit())
        flush();
}

void StreamSubscriber::flush() {
    if (state() != State::Live)
        return;
    if (is_stalled()) { // by a control frame; on_writable goes on
        if (is_single() && subscription(0).place == Subscription::Place::Waiting)
            subscription(0).feed->hold(subscription(0));
        return;
    }
    if (is_single())
        flush_single();
    else
        flush_several();
}

void StreamSubscriber::flush_single() {
    Subscription& cursor = subscription(0);
    if (cursor.place == Subscription::Place::Young)
        return finish_flush();
    while (cursor.ordinal < cursor.feed->next()) {
        if (cursor.ordinal < cursor.feed->first())
            return fall_back(); // not slow, or skip_over_limit had seen to it
        if (!send_single(cursor))
            return;
    }
    cursor.feed->caught_up(cursor);
    finish_flush();
}

bool StreamSubscriber::takes_batch() const {
    return state() == State::Live && is_single() && !is_stalled() && outbox_.empty();
}

void StreamSubscriber::on_batch(size_t bytes, ssize_t result) {
    Subscription& cursor = subscription(0);
    if (settle_write(cursor, cursor.feed->next(), bytes, result))
        flush_single();
}

// Everything has been sent: what this worker has drained is the client's.
void StreamSubscriber::finish_flush() {
    position_ = position();
    if (owes_position_) {
        encoding_.position(outbox_.own(), position_);
        owes_position_ = false;
    }
    finish_endings();
}

// One write. False when the socket is full or broken.
bool StreamSubscriber::send_single(Subscription& cursor) {
    const Backlog& backlog = cursor.feed->backlog();
    iovec pieces[kPieces];
    uint64_t end = cursor.ordinal;
    const int count = backlog.gather(end, connection_, pieces, kPieces);
    size_t bytes = 0;
    for (int i = 0; i < count; ++i)
        bytes += pieces[i].iov_len;
    return settle_write(cursor, end, bytes, count ? sink_.write(pieces, count) : 0);
}

// What became of `bytes`, the frames up to `end`. False when the socket is full or broken.
bool StreamSubscriber::settle_write(Subscription& cursor, uint64_t end, size_t bytes,
                                    ssize_t result) {
    const Backlog& backlog = cursor.feed->backlog();
    if (result < 0) {
        abandon();
        return false;
    }
    const auto written = static_cast<size_t>(result);
    if (written == bytes) {
        delivered(backlog.count(cursor.ordinal, end, connection_), backlog.at(end - 1).seq);
        cursor.ordinal = end;
        return true;
    }
    const Backlog::Written place = backlog.advance(cursor.ordinal, connection_, written);
    cursor.ordinal = place.ordinal;
    keep_rest(place);
    cursor.feed->hold(cursor);
    return false;
}

void StreamSubscriber::keep_rest(const Backlog::Written& written) {
    delivered(written.messages, written.seq);
    if (written.segment)
        outbox_.set_rest({written.segment, written.begin, written.end, written.partial_seq});
    stall();
}

// ---- several channels: their cursors, merged in the order of seqs

void StreamSubscriber::flush_several() {
    Picked picked[kPieces];
    for (;;) {
        const size_t count = pick(picked);
        if (count == 0) {
            settle_pending();
            if (first_pending())
                return fall_back(); // overtaken, and not for being slow
            return finish_flush();
        }
        if (!send_picked(picked, count))
            return;
    }
}

// Moves cursors over up to kPieces frames.
size_t StreamSubscriber::pick(Picked* picked) {
    size_t count = 0;
    while (count < kPieces) {
        Subscription* next = next_pending();
        if (!next || next->ordinal < next->feed->first())
            break;
        const Frame& frame = next->feed->backlog().at(next->ordinal);
        if (!frame.is_excluded(connection_))
            picked[count++] = {next, next->ordinal, &frame};
        ++next->ordinal;
    }
    return count;
}

bool StreamSubscriber::send_picked(const Picked* picked, size_t count) {
    CHECK(count > 0 && count <= kPieces);
    iovec pieces[kPieces] = {};
    for (size_t i = 0; i < count; ++i) {
        const Frame& frame = *picked[i].frame;
        pieces[i] = {frame.segment->bytes.data() + frame.begin, frame.size()};
    }
    const ssize_t result = sink_.write(pieces, static_cast<int>(count));
    if (result < 0) {
        abandon();
        return false;
    }
    size_t left = static_cast<size_t>(result);
    size_t done = 0;
    for (; done < count && left >= picked[done].frame->size(); ++done)
        left -= picked[done].frame->size();
    if (done > 0)
        delivered(done, picked[done - 1].frame->seq);
    if (done == count)
        return true;
    if (left > 0) {
        const Frame& frame = *picked[done].frame;
        Backlog::Written rest;
        rest.messages = 1;
        rest.partial_seq = frame.seq;
        rest.segment = frame.segment;
        rest.begin = frame.begin + static_cast<uint32_t>(left);
        rest.end = frame.end;
        keep_rest(rest);
        ++done;
    } else {
        stall();
    }
    while (count > done) { // back to the first frame that has not begun
        --count;
        picked[count].owner->ordinal = picked[count].ordinal;
    }
    return false;
}

// Those that have everything wait again.
void StreamSubscriber::settle_pending() {
    for (Subscription* each = first_pending(); each;) {
        Subscription* next = after_pending(*each);
        if (each->ordinal == each->feed->next())
            each->feed->caught_up(*each);
        each = next;
    }
}

// ---- slow consumers

// The socket takes bytes again after a while: applies the policy to each channel that ran away.
// False when the connection was closed, fell back, or is full again.
bool StreamSubscriber::skip_over_limit() {
    for (size_t i = 0; i < channel_count(); ++i)
        if (runs_over(subscription(i)) && !skip(subscription(i)))
            return false;
    return send_outbox();
}

bool StreamSubscriber::skip(Subscription& cursor) {
    Feed& feed = *cursor.feed;
    const ChannelSettings& settings = feed.channel().settings();
    if (feed.first() == feed.next()) { // the mailbox ran over: history may still have it
        fall_back();
        return false;
    }
    note_slow(settings.slow_consumer);
    was_noted_ = false;
    if (settings.slow_consumer == SlowConsumer::Disconnect) {
        close({.why = Farewell::Why::SlowConsumer});
        return false;
    }
    if (settings.slow_consumer == SlowConsumer::Gap && !settings.conflate.empty()) {
        fall_back(std::make_unique<Conflation>());
        return false;
    }
    append_gap(feed.skip(cursor, position_));
    return true; // still held: a cursor at the end is settled by the flush behind the gap
}

void StreamSubscriber::on_stalled(Millis now, Millis send_timeout) {
    if (end_if_stuck(now, send_timeout) || state() != State::Live)
        return;
    for (size_t i = 0; i < channel_count(); ++i) {
        Subscription& cursor = subscription(i);
        if (!runs_over(cursor) || cursor.feed->first() == cursor.feed->next())
            continue;
        const SlowConsumer policy = cursor.feed->channel().settings().slow_consumer;
        if (policy == SlowConsumer::Disconnect)
            return static_cast<void>(skip(cursor));
        note_slow(policy); // it is told when it reads again
    }
}

void StreamSubscriber::append_gap(const Gap& gap) {
    hub().counters().gap(gap.why);
    encoding_.gap(outbox_.own(), gap);
    owes_position_ = true;
}

void StreamSubscriber::delivered(uint64_t messages, uint64_t seq) {
    if (messages > 0) {
        hub().counters().deliveries[static_cast<size_t>(encoding_.use())].add(messages);
        owes_position_ = false;
    }
    if (seq > position_.seq)
        position_.seq = seq;
}

// ---- ends

void StreamSubscriber::on_ending(Subscription& cursor) {
    if (state() != State::Live || is_stalled())
        return; // when it has caught up
    if (cursor.place == Subscription::Place::Young ||
        (cursor.place == Subscription::Place::Waiting && cursor.ordinal == cursor.feed->next()))
        finish_endings();
}

// Returns whether the subscriber goes on.
bool StreamSubscriber::finish_endings() {
    bool any = false;
    for (size_t i = 0; i < channel_count(); ++i) {
        Subscription& cursor = subscription(i);
        if (cursor.ending == Subscription::Ending::No || !cursor.feed ||
            cursor.place == Subscription::Place::Gone || cursor.place == Subscription::Place::Held)
            continue;
        encoding_.end(outbox_.own(), cursor.feed->channel().name(), ending_code(cursor.ending));
        hub().retire(cursor);
        any = true;
    }
    if (any && remaining() == 0)
        close({.why = Farewell::Why::Ended});
    else
        send_outbox();
    return state() == State::Live || state() == State::Replaying;
}

} // namespace fanhorn
