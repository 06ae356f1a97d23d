// SPDX-License-Identifier: Apache-2.0
// The NATS broker writes its state into the stream, some at a time while other entries go on, so
// that what lies before can go; and begins with such a snapshot.
//
// Each channel is copied as it is at one seq, which its part names: of the entries behind the
// snapshot's begin, those up to that seq are in it. The rest bears being done twice.
#include "modules/broker_nats_snapshot.h"

#include "base/log.h"
#include "modules/broker_local_channel.h"
#include "modules/packed_fields.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr size_t kSliceChannels = 256, kSliceRest = 1024, kSliceSeats = 256;
// Bytes of a part, but for one message that is larger.
constexpr size_t kPartBytes = 256 << 10;
// Parts that have not come back.
constexpr size_t kMostParts = 4;
constexpr std::string_view kPartTopic = "part", kEndTopic = "end";

} // namespace

// ---- writing

NatsEntry NatsBroker::part(std::string_view what, std::string text, uint64_t at) const {
    NatsEntry made = entry(Kind::Part);
    made.channel = what;
    made.text = std::move(text);
    made.b = at;
    return made;
}

// Under mutex_: what a reader needs to know at the begin.
NatsEntry NatsBroker::snapshot_end() const {
    NatsEntry made = entry(Kind::End);
    made.a = applied_;
    made.c = epoch_;
    made.other = server_;
    made.text.assign(reinterpret_cast<const char*>(&name_key_), sizeof name_key_);
    PackedWriter to(made.key);
    to.number(head_).number(epochs_.size());
    for (const auto& [from, epoch] : epochs_)
        to.number(from).number(epoch);
    return made;
}

void NatsBroker::begin_snapshot() {
    {
        std::lock_guard lock(mutex_);
        const Millis now = wire_clock_.now();
        const bool is_written = !snapshot_writer_.empty() && now < snapshot_at_ + kSnapshotWithin;
        const bool is_asked = snapshot_asked_at_ > 0 && now < snapshot_asked_at_ + kSnapshotAgain;
        if (is_written || is_asked ||
            log_bytes_ < 2 * std::max<uint64_t>(kept_bytes_, least_bytes_) + slack_bytes_)
            return;
        snapshot_asked_at_ = now;
    }
    std::vector<NatsEntry> entries;
    entries.push_back(entry(Kind::Begin));
    submit(std::move(entries), std::make_shared<Command>());
}

void NatsBroker::go_on_with_snapshot() {
    std::vector<NatsEntry> parts;
    while (copy_some(parts))
        send_parts(std::exchange(parts, {}));
}

// One slice. False: nothing is to be sent now.
bool NatsBroker::copy_some(std::vector<NatsEntry>& parts) {
    std::unique_lock lock(mutex_);
    if (!snapshot_ || snapshot_->under_way >= kMostParts)
        return false;
    const uint64_t begin = snapshot_->begin;
    std::string entries;
    switch (snapshot_->stage) {
    case Snapshot::Stage::Channels:
        lock.unlock();
        copy_channels(begin, parts);
        lock.lock();
        break;
    case Snapshot::Stage::Keys:
        copy_keys(entries);
        break;
    case Snapshot::Stage::Markers:
        copy_markers(entries);
        break;
    case Snapshot::Stage::Seats:
        copy_seats(parts);
        break;
    case Snapshot::Stage::Rest:
        copy_rest(entries);
        break;
    case Snapshot::Stage::Ended: {
        if (snapshot_->under_way > 0)
            return false;
        const std::unique_ptr<Snapshot> ended = std::move(snapshot_);
        lock.unlock();
        ended->end.b = ended->parts;
        end_snapshot(std::move(ended->end));
        return false;
    }
    case Snapshot::Stage::Failed:
        snapshot_ = nullptr; // another may begin when nothing has come of it for long
        return false;
    }
    if (!snapshot_ || snapshot_->begin != begin) // it has been given up meanwhile
        return false;
    if (!entries.empty())
        parts.push_back(part("log", std::move(entries), head_));
    for (NatsEntry& each : parts)
        each.a = begin;
    snapshot_->parts += parts.size();
    snapshot_->under_way += parts.size();
    return true;
}

// References under the lock; their bytes are copied outside.
void NatsBroker::copy_channels(uint64_t begin, std::vector<NatsEntry>& parts) {
    std::vector<ChannelCopy> copies;
    uint64_t at = 0;
    {
        std::lock_guard lock(mutex_);
        if (!snapshot_ || snapshot_->begin != begin)
            return;
        at = head_;
        size_t bytes = 0;
        auto next = by_name_.lower_bound(std::string_view(snapshot_->next_channel));
        for (; next != by_name_.end() && copies.size() < kSliceChannels && bytes < kPartBytes;
             ++next) {
            const Channel& channel = **next;
            if (channel.history.empty() && !channel.retained && channel.history.trimmed() == 0)
                continue; // it is only wanted
            copies.push_back(copy_of(channel));
            bytes += channel.history.bytes();
        }
        if (next == by_name_.end())
            snapshot_->stage = Snapshot::Stage::Keys;
        else
            snapshot_->next_channel = (*next)->name;
    }
    std::string entries;
    const auto add = [&](const Message& message, bool is_past) {
        if (entries.size() + message.payload.size() > kPartBytes && !entries.empty())
            parts.push_back(part("log", std::exchange(entries, ""), at));
        log_message(entries, message, message.stored_at + behind(), is_past);
    };
    for (const ChannelCopy& copy : copies) {
        log_channel(entries, copy.channel, copy.n, copy.trimmed);
        if (copy.past)
            add(*copy.past, true);
        for (const MessageRef& message : copy.messages)
            add(*message, false);
    }
    if (!entries.empty())
        parts.push_back(part("log", std::move(entries), at));
}

void NatsBroker::copy_keys(std::string& entries) {
    snapshot_->next_key =
        keys_.each(snapshot_->next_key, kSliceRest,
                   [&](std::string channel, std::string key, const IdempotencyKeys::Entry& entry,
                       Millis used_at) {
                       log_key(entries, {std::move(channel), std::move(key), entry, used_at});
                   });
    if (keys_.is_behind(snapshot_->next_key))
        snapshot_->stage = Snapshot::Stage::Markers;
}

void NatsBroker::copy_markers(std::string& entries) {
    const bool has_more =
        markers_.copy(kSliceRest, [&](std::string_view user, std::string_view channel,
                                      uint64_t seq) { log_marker(entries, user, channel, seq); });
    if (!has_more)
        snapshot_->stage = Snapshot::Stage::Seats;
}

// A part for each slice: texts that are entries themselves.
void NatsBroker::copy_seats(std::vector<NatsEntry>& parts) {
    std::string text;
    PackedWriter to(text);
    size_t count = 0;
    auto& [channel, user] = snapshot_->next_seat;
    auto room = people_.lower_bound(channel);
    for (; room != people_.end() && count < kSliceSeats; ++room) {
        auto next = room->first == channel ? room->second.upper_bound(user) : room->second.begin();
        for (; next != room->second.end() && count < kSliceSeats; ++next) {
            for (const auto& [node, connections] : next->second.nodes) {
                NatsEntry seat = entry(Kind::Seat);
                seat.of = node;
                seat.channel = room->first;
                seat.user = next->first;
                seat.text = next->second.info;
                seat.a = connections + 1;
                seat.b = UINT32_MAX;
                to.text(encode_entry(seat));
                ++count;
            }
            user = next->first;
        }
        channel = room->first;
        if (next != room->second.end())
            break;
    }
    if (room == people_.end())
        snapshot_->stage = Snapshot::Stage::Rest;
    if (!text.empty())
        parts.push_back(part("seats", std::move(text), head_));
}

// What is of no channel that is there: behind the channels, which may have been freed meanwhile.
void NatsBroker::copy_rest(std::string& entries) {
    for (size_t i = 0; i < watermarks_.size(); ++i)
        if (watermarks_[i])
            log_watermark(entries, i, watermarks_[i]);
    snapshot_->stage = Snapshot::Stage::Ended;
}

void NatsBroker::send_parts(std::vector<NatsEntry> parts) {
    for (NatsEntry& each : parts) {
        const uint64_t begin = each.a;
        auto command = std::make_shared<Command>();
        command->settle = [this, begin](size_t, const Outcome& outcome) {
            on_part(begin, outcome.is_applied);
        };
        std::vector<NatsEntry> one;
        one.push_back(std::move(each));
        submit(std::move(one), command, kPartTopic);
    }
}

void NatsBroker::on_part(uint64_t begin, bool is_applied) {
    {
        std::lock_guard lock(mutex_);
        if (!snapshot_ || snapshot_->begin != begin)
            return;
        --snapshot_->under_way;
        if (!is_applied)
            snapshot_->stage = Snapshot::Stage::Failed;
    }
    nudge();
}

// All parts are there: when that is in the stream, what lies before may go.
void NatsBroker::end_snapshot(NatsEntry end) {
    const uint64_t begin = end.a, parts = end.b;
    auto command = std::make_shared<Command>();
    command->settle = [this, begin, parts](size_t, const Outcome& outcome) {
        if (!outcome.is_applied)
            return;
        log_event(LogLevel::Info, "broker_snapshot",
                  {{"broker", settings_.name}, {"parts", parts}, {"begin", begin}});
        std::lock_guard lock(queue_mutex_);
        purge_before_ = begin;
        is_nudged_ = true;
        is_wanted_.notify_all();
    };
    std::vector<NatsEntry> entries;
    entries.push_back(std::move(end));
    submit(std::move(entries), command, kEndTopic);
}

// The sender's: the servers do it in their own time.
void NatsBroker::purge() {
    uint64_t before = 0;
    std::shared_ptr<NatsLink> link;
    {
        std::lock_guard lock(queue_mutex_);
        before = std::exchange(purge_before_, 0);
        link = link_;
    }
    if (before == 0 || !link)
        return;
    if (auto purged = link->purge(before); !purged) // the next snapshot's does
        log_event(LogLevel::Warning, "broker_not_purged",
                  {{"broker", settings_.name}, {"reason", purged.error()}});
}

// ---- beginning with one

// Before anybody is served.
class NatsBroker::PartLoader final : public LogReader {
  public:
    PartLoader(NatsBroker& broker, uint64_t at)
        : broker_(broker), at_(at), now_(broker.clock_.now()) {}

    bool on_message(LoggedMessage&& logged) override {
        auto refused = Published::Status::Published;
        Channel* channel = broker_.channel_of(logged.draft.channel, logged.seq, refused);
        if (!channel)
            return true;
        const Position position{broker_.epoch_of(logged.seq), logged.seq};
        const Millis stored_at = clock_of(logged.stored_at);
        const MessageRef message(
            new Message(std::move(logged.draft), position, logged.n, stored_at));
        if (message->retained &&
            (!channel->retained || channel->retained->position.seq < logged.seq))
            channel->retained = message;
        if (!message->stored || logged.is_past)
            return true;
        History& history = channel->history;
        if (!history.empty() && history.at(history.size() - 1).position.seq >= logged.seq)
            return false;
        broker_.kept_bytes_ -= history.bytes();
        history.append(message, *channel->settings, now_, garbage_);
        broker_.kept_bytes_ += history.bytes();
        return true;
    }
    bool on_channel(const std::string& name, uint64_t n, uint64_t trimmed) override {
        broker_.loaded_at_[name] = at_;
        auto refused = Published::Status::Published;
        if (Channel* channel = broker_.channel_of(name, trimmed, refused)) {
            channel->n = n;
            channel->history.raise_trimmed(trimmed);
        }
        return true;
    }
    bool on_marker(const std::string& user, const std::string& channel, uint64_t seq) override {
        ReadMark mark;
        mark.user = user;
        mark.channel = channel;
        mark.position.seq = seq;
        broker_.move_marker_to(mark);
        return true;
    }
    bool on_watermark(size_t index, uint64_t seq) override {
        if (index >= broker_.watermarks_.size())
            return false;
        broker_.watermarks_[index] = std::max(broker_.watermarks_[index], seq);
        return true;
    }
    bool on_key(LoggedKey&& key) override {
        key.entry.position.epoch = broker_.epoch_of(key.entry.position.seq);
        if (!broker_.keys_.find(key.channel, key.key, key.used_at))
            broker_.keys_.insert(key.channel, key.key, key.entry, key.used_at);
        return true;
    }
    bool on_loss(const LostStretch&) override { return false; }
    bool on_removal(const std::string&, uint64_t) override { return false; }

  private:
    Millis clock_of(Millis shared) const { return std::min(shared - broker_.behind(), now_); }

    NatsBroker& broker_;
    const uint64_t at_;
    const Millis now_;
    Garbage garbage_;
};

Result<void> NatsBroker::load_snapshot(const NatsStream& stream) {
    auto record = stream_->last_of(kEndTopic);
    if (!record)
        return Error{record.error()};
    const auto end = *record ? decode_entry((*record)->bytes) : std::nullopt;
    if (!end || end->kind != Kind::End || end->a + 1 < stream.first)
        return {}; // none: what the stream has is all
    PackedReader from(end->key);
    {
        std::lock_guard lock(mutex_);
        epoch_ = end->c;
        server_ = end->other;
        given_ = head_ = from.number();
        for (uint64_t count = from.number(); count > 0 && from.is_whole(); --count) {
            const uint64_t begins = from.number();
            epochs_.emplace_back(begins, from.number());
        }
        if (!from.is_whole() || end->text.size() != sizeof name_key_)
            return Error{"its snapshot is damaged"};
        std::copy(end->text.begin(), end->text.end(), reinterpret_cast<char*>(&name_key_));
        applied_ = end->a;
    }
    return load_parts(*end);
}

Result<void> NatsBroker::load_parts(const NatsEntry& end) {
    if (auto followed = stream_->follow(end.a, kPartTopic); !followed)
        return followed;
    uint64_t count = 0;
    while (count < end.b) {
        auto records = stream_->next(kSliceRest, NatsLink::kAnswersWithin);
        if (!records)
            return Error{records.error()};
        if (records->empty())
            return Error{"its snapshot does not come"};
        std::lock_guard lock(mutex_);
        for (const NatsRecord& record : *records) {
            const auto part = decode_entry(record.bytes);
            if (!part || part->kind != Kind::Part || part->node != end.node || part->a != end.a)
                continue; // of one that was given up
            ++count;
            if (!load_part(*part))
                return Error{"its snapshot is damaged"};
        }
    }
    return {};
}

// Under mutex_.
bool NatsBroker::load_part(const NatsEntry& part) {
    if (part.channel == "log") {
        PartLoader loader(*this, part.b);
        return read_entries(part.text, loader);
    }
    PackedReader from(part.text);
    Turn turn;
    while (!from.is_end()) {
        const auto seat = decode_entry(from.view());
        if (!from.is_whole() || !seat || seat->kind != Kind::Seat || seat->a == 0)
            return false;
        apply_seat(*seat, part.b, turn);
    }
    return true;
}

} // namespace fanhorn
