// SPDX-License-Identifier: Apache-2.0
#include "relay/poll_subscriber.h"

#include "base/text.h"
#include "http/response.h"
#include "relay/hub.h"

namespace fanhorn {

namespace {

// RFC 9110 section 13.1.2: `*`, or a list with a weak match in it.
bool is_known_tag(std::string_view list, std::string_view tag) {
    while (!list.empty()) {
        std::string_view each = trim_blanks(take_until(list, ','));
        if (each.starts_with("W/"))
            each.remove_prefix(2);
        if (each == tag || each == "*")
            return true;
    }
    return false;
}

} // namespace

PollSubscriber::PollSubscriber(Sink& sink, const Wish& wish, PollWish poll)
    : FixedSubscriber(sink, wish), poll_(std::move(poll)), filter_(wish.filter) {}

void PollSubscriber::begin(Wish&& wish) {
    if (poll_.may_wait)
        return place(std::move(wish));
    names_ = wish.channels;
    locate(wish);
}

void PollSubscriber::on_start(Start start) {
    position_ = start.told;
    for (const ChannelStart& channel : start.channels) {
        if (channel.retained && poll_.is_retained_due && wants(*channel.retained))
            encoding_.retained(messages_, *channel.retained);
        if (channel.gap)
            add_gap(*channel.gap);
    }
    if (start.after < start.head)
        return read_on(stretch_behind(start));
    if (!gaps_.empty()) // nothing is kept: the ids go on from here
        position_ = {start.epoch, start.after};
    if (poll_.may_wait && messages_.empty() && gaps_.empty())
        return wait_on(start.after);
    answer();
}

Stretch PollSubscriber::stretch_behind(const Start& start) {
    Stretch stretch;
    stretch.after = start.after;
    stretch.epoch = start.epoch;
    for (size_t i = 0; i < start.channels.size(); ++i) {
        const std::string& name =
            poll_.may_wait ? subscription(i).feed->channel().name() : names_[i];
        stretch.parts.push_back({name, start.channels[i].floor});
    }
    return stretch;
}

void PollSubscriber::read_on(Stretch stretch) {
    enter(State::Replaying);
    stretch.max_messages = filter_ ? kMaxMessages : poll_.max_messages;
    stretch.max_bytes = kMaxBytes;
    stretch.may_wait = false; // a client waits for the answer
    read(std::move(stretch));
}

void PollSubscriber::on_page(Page page) {
    if (page.is_down) // one that has waited is refused when it comes again
        return has_waited_ || count_ > 0 ? answer() : refuse(Start::Status::Down);
    for (const Gap& gap : page.gaps)
        add_gap(gap);
    for (const MessageRef& message : page.messages) {
        std::string json;
        if (wants(*message))
            encoding_.message(json, *message);
        if (!has_room(json.size()))
            return answer();
        messages_ += json;
        count_ += json.empty() ? 0 : 1;
        position_ = message->position;
    }
    if (page.messages.empty() && !gaps_.empty())
        position_ = {page.epoch, page.rest.after};
    const bool has_any = !messages_.empty() || !gaps_.empty();
    if (page.is_end && poll_.may_wait && !has_any)
        return wait_on(page.rest.after);
    // Of a page that a filter thinned out there is little; other clients are served between
    // answers.
    if (!page.is_end && (filter_ ? has_room(0) && ++pages_ < kMaxPages : !has_any))
        return read_on(std::move(page.rest));
    answer();
}

void PollSubscriber::wait_on(uint64_t after) {
    if (!join(after))
        return read_on(put_away_all());
    has_waited_ = true;
    for (size_t i = 0; i < channel_count(); ++i) // a channel was deleted meanwhile
        if (subscription(i).ending != Subscription::Ending::No)
            add_end(subscription(i));
    if (!ends_.empty())
        return answer();
    if (is_single() && subscription(0).place == Subscription::Place::Held)
        flush();
}

std::optional<HandedSubscriber> PollSubscriber::hand_over() const {
    auto part = handed_part();
    if (state() != State::Live || !part || part->channels.size() != channel_count() ||
        !is_caught_up())
        return std::nullopt;
    HandedSubscriber handed;
    handed.told = part->position = position();
    handed.parts.push_back(std::move(*part));
    return handed;
}

void PollSubscriber::flush() {
    if (state() != State::Live)
        return;
    if (is_single())
        flush_single();
    else
        flush_several();
}

void PollSubscriber::flush_single() {
    Feed& feed = *subscription(0).feed;
    const uint64_t from = subscription(0).ordinal;
    if (from < feed.first())
        return read_on(put_away_all());
    const Backlog& backlog = feed.backlog();
    const Feed::Batch* batch = feed.batch.get();
    if (batch && batch->from == from && batch->to == feed.next() &&
        !backlog.has_selective()) { // somebody else's answer is ours
        position_ = {end_->epoch, backlog.at(feed.next() - 1).seq};
        count_ += batch->to - from;
        return send(batch->begin_of_head, batch->body);
    }
    uint64_t to = from;
    while (to < feed.next() && has_room(backlog.at(to).size()))
        add_frame(backlog.at(to++));
    if (messages_.empty()) { // all of it excluded us
        subscription(0).ordinal = to;
        return feed.caught_up(subscription(0));
    }
    const SegmentRef body = this->body();
    feed.batch = std::make_unique<Feed::Batch>(
        Feed::Batch{from, to, begin_of_head(body->bytes.size(), 200), body});
    send(feed.batch->begin_of_head, body);
}

void PollSubscriber::flush_several() {
    while (Subscription* next = next_pending()) {
        if (next->ordinal < next->feed->first())
            return messages_.empty() ? read_on(put_away_all()) : answer();
        const Frame& frame = next->feed->backlog().at(next->ordinal);
        if (!has_room(frame.size()))
            break;
        add_frame(frame);
        ++next->ordinal;
    }
    if (!messages_.empty())
        return answer();
    while (Subscription* each = first_pending())
        each->feed->caught_up(*each);
}

bool PollSubscriber::wants(const Message& message) const {
    return !message.is_excluded(connection_) && (!filter_ || filter_->matches(message.tags));
}

// Whether the answer takes one message more, of that many bytes: it takes one at least.
bool PollSubscriber::has_room(size_t bytes) const {
    return count_ == 0 || (count_ < poll_.max_messages && messages_.size() + bytes <= kMaxBytes);
}

void PollSubscriber::add_frame(const Frame& frame) {
    if (frame.is_excluded(connection_))
        return;
    messages_.append(frame.segment->bytes, frame.begin, frame.size());
    position_ = {end_->epoch, frame.seq};
    ++count_;
}

void PollSubscriber::add_gap(const Gap& gap) {
    hub().counters().gap(gap.why);
    encoding_.gap(gaps_, gap);
}

void PollSubscriber::on_timeout() {
    if (state() != State::Live)
        return;
    if (filter_ && is_caught_up() && position_.epoch == end_->epoch)
        for (size_t i = 0; i < channel_count(); ++i) // what was not for it has been looked at, too
            position_.seq = std::max(position_.seq, subscription(i).feed->newest_skipped());
    answer();
}

void PollSubscriber::on_ending(Subscription& subscription) {
    if (state() != State::Live)
        return;
    add_end(subscription);
    answer();
}

void PollSubscriber::add_end(const Subscription& subscription) {
    encoding_.end(ends_, subscription.feed->channel().name(), ending_code(subscription.ending));
}

void PollSubscriber::close(const Farewell& farewell) {
    if (state() == State::Closed)
        return;
    poll_.keep_alive = false;
    retry_after_s_ = std::max(1u, (farewell.retry_ms + 999) / 1000);
    answer();
}

SegmentRef PollSubscriber::body() const {
    const auto list = [](std::string& out, std::string_view name, std::string_view items) {
        out += name;
        out += '[';
        out += items.substr(0, items.empty() ? 0 : items.size() - 1);
        out += ']';
    };
    auto segment = make_ref<Segment>();
    std::string& out = segment->bytes;
    out.reserve(messages_.size() + gaps_.size() + 96);
    list(out, "{\"messages\":", messages_);
    out += ",\"next\":\"";
    append_position(out, position_);
    out += '"';
    list(out, ",\"gaps\":", gaps_);
    if (!ends_.empty())
        list(out, ",\"ends\":", ends_);
    out += '}';
    return segment;
}

void PollSubscriber::answer() {
    answer_with(body());
}

void PollSubscriber::answer_with(SegmentRef body) {
    // A list of quoted tags, some perhaps weak (RFC 9110 section 13.1.2: compared weakly).
    const bool is_known = !poll_.may_wait && is_known_tag(poll_.if_none_match, etag());
    if (is_known)
        body = make_ref<Segment>();
    const std::string begin = begin_of_head(body->bytes.size(), is_known ? 304 : 200);
    send(begin, std::move(body));
}

std::string PollSubscriber::etag() const {
    return '"' + position_text(position_) + '-' + poll_.tag + '"';
}

// What it has in common with the answers of others that are as far.
std::string PollSubscriber::begin_of_head(size_t body_size, int status) const {
    std::string out;
    http::append_status(out, status);
    if (status == 200) {
        out += "Content-Type: application/json\r\n";
        http::append_content_length(out, body_size);
    }
    out += "Fanhorn-Id: ";
    append_position(out, position_);
    out += "\r\n";
    return out;
}

void PollSubscriber::send(std::string_view begin_of_head, SegmentRef body) {
    constexpr size_t kOwnBytes = 128;
    std::string out;
    out.reserve(begin_of_head.size() + poll_.headers.size() + kOwnBytes);
    out += begin_of_head;
    if (!poll_.may_wait)
        http::append_header(out, "ETag", etag());
    if (retry_after_s_)
        http::append_header(out, "Retry-After", std::to_string(retry_after_s_));
    if (!poll_.keep_alive)
        http::append_header(out, "Connection", "close");
    out += poll_.headers;
    out += "\r\n";
    hub().counters().deliveries[static_cast<size_t>(encoding_.use())].add(count_);
    enter(State::Closed);
    sink_.answer(std::move(out), std::move(body));
}

} // namespace fanhorn
