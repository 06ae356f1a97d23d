// SPDX-License-Identifier: Apache-2.0
// The NATS broker: what each entry of the stream does, on every node the same.
#include "base/log.h"
#include "modules/broker_local_channel.h"
#include "modules/broker_nats.h"
#include "modules/broker_nats_snapshot.h"
#include "modules/message_record.h"

#include <algorithm>
#include <cstring>

namespace fanhorn {

namespace {
constexpr size_t kMostEpochs = 64; // that are known; of those before, the first stands for all
constexpr size_t kOverhead = 64;   // of an entry in the stream, about
} // namespace

void NatsBroker::apply(const std::vector<NatsRecord>& records) {
    Turn turn;
    {
        std::lock_guard lock(mutex_);
        for (const NatsRecord& record : records)
            apply(record, turn);
        seen_ = std::max(seen_, head_);
        if (!is_loading_)
            tell_pushed();
        take(turn.after);
    }
    turn.after.run();
    for (const Settled& each : turn.settled)
        settle(each.request, each.outcome);
    for (const auto& [user, age] : turn.away)
        away_(user, age);
}

void NatsBroker::tell_pushed() {
    pushed_.store(head_, std::memory_order_release);
    std::lock_guard lock(position_mutex_);
    position_ = {epoch_, head_};
}

// Whatever becomes of it, by which all nodes count alike.
static bool takes_seq(const NatsEntry& entry) {
    switch (entry.kind) {
    case NatsEntry::Kind::Message:
    case NatsEntry::Kind::Removal:
        return true;
    case NatsEntry::Kind::Mark:
        return !entry.other.empty();
    case NatsEntry::Kind::Seat:
        return !entry.channel.empty();
    default:
        return false;
    }
}

void NatsBroker::apply(const NatsRecord& record, Turn& turn) {
    if (record.seq <= applied_)
        return;
    if (applied_ > 0 && record.seq != applied_ + 1)
        note_hole(record.seq);
    applied_ = record.seq;
    last_hash_ = keyed_hash(record.bytes);
    log_bytes_ += record.bytes.size() + kOverhead;
    auto entry = decode_entry(record.bytes);
    if (!entry)
        return log_event(LogLevel::Error, "broker_record",
                         {{"broker", settings_.name}, {"place", record.seq}});
    if (entry->kind == Kind::Epoch)
        apply_epoch(*entry);
    if (epoch_ == 0) // before the first one there is nothing
        return;
    turn.stored_at = record.stored_at;
    least_lag_ = std::min(least_lag_, wire_clock_.now() - record.stored_at);
    const uint64_t seq = takes_seq(*entry) ? head_ + 1 : head_;
    Outcome outcome;
    apply(*entry, seq, turn, outcome);
    given_ = head_ = seq;
    if (entry->node == self_)
        turn.settled.push_back({entry->request, outcome});
}

void NatsBroker::apply(NatsEntry& entry, uint64_t seq, Turn& turn, Outcome& outcome) {
    outcome.is_applied = true;
    switch (entry.kind) {
    case Kind::Epoch:
        return;
    case Kind::Message:
        return apply_message(entry, seq, turn, outcome.published);
    case Kind::Removal:
        return apply_removal(entry, seq, turn, outcome.removal);
    case Kind::Mark:
        return apply_mark(entry, seq, turn, outcome.marked);
    case Kind::Seat:
        return apply_seat(entry, seq, turn);
    case Kind::Renewal:
        renewed(entry.of);
        return;
    case Kind::Burial:
        return apply_burial(entry);
    case Kind::Away:
        return apply_away(entry, turn);
    case Kind::Begin:
        return apply_begin(entry);
    case Kind::Part:
        snapshot_at_ = wire_clock_.now();
        return;
    case Kind::End:
        return apply_end(entry);
    }
}

// All that is wanted here is to be read again: what came between may be lost.
void NatsBroker::apply_epoch(const NatsEntry& entry) {
    const bool is_first = epoch_ == 0;
    given_ = head_ = entry.a;
    if (is_first && is_cut_)
        unknown_below_ = entry.a;
    epoch_ = entry.b;
    server_ = entry.other;
    if (entry.text.size() == sizeof name_key_)
        std::memcpy(&name_key_, entry.text.data(), sizeof name_key_);
    epochs_.emplace_back(entry.a, entry.b);
    if (epochs_.size() > kMostEpochs)
        epochs_.erase(epochs_.begin());
    if (is_first || is_loading_)
        return;
    log_event(LogLevel::Warning, "broker_epoch",
              {{"broker", settings_.name},
               {"reason", "a server that started again may have lost something"}});
    lose_all(entry.a);
}

// Somebody else has deleted entries: nobody who did not see them knows how many seqs they took.
void NatsBroker::note_hole(uint64_t next) {
    log_event(LogLevel::Error, "broker_log_lost",
              {{"broker", settings_.name}, {"after", applied_}, {"next", next}});
    is_suspect_ = true;
    suspect_epoch_ = epoch_;
}

// Whoever wants something reads what there is of it up to that seq.
void NatsBroker::lose_all(uint64_t seq) {
    const auto notify = [&](const std::string& name, const std::u16string& wanted) {
        for (const uint16_t worker : wanted) {
            auto notice = std::make_unique<Notice>();
            notice->kind = Notice::Kind::Lost;
            notice->channel = name;
            notice->seq = seq;
            push(worker, std::move(notice));
        }
    };
    for (const auto& channel : channels_)
        notify(channel->name, channel->wanted);
    wildcards_.each([&](const Wildcard& each) { notify(each.pattern.text(), each.wanted); });
}

// ---- messages

// Whoever asked has looked whether there is room for it. Null where the configuration has no
// section for it: what it would have is gone.
NatsBroker::Channel* NatsBroker::channel_of(const std::string& name, uint64_t seq,
                                            Published::Status& refused) {
    const uint32_t most = std::exchange(limits_.channels, UINT32_MAX);
    Channel* channel = find_or_make(name, refused);
    limits_.channels = most;
    if (!channel) {
        uint64_t& mark = watermark(name);
        mark = std::max(mark, seq);
    }
    return channel;
}

uint32_t NatsBroker::place(Channel& channel, const MessageRef& message, Turn& turn) {
    ++channel.staged;
    if (!is_loading_)
        return LocalBroker::apply({&channel, message}, turn.garbage);
    --channel.staged;
    remember(channel, message, turn.garbage);
    return 0;
}

// Null where the record is none.
MessageRef NatsBroker::message_of(const NatsEntry& entry, const std::string& channel, uint64_t seq,
                                  uint64_t n) const {
    const Millis ahead = std::max(behind(), entry.at - clock_.now()); // clocks differ
    return decode_record(entry.text, channel, {epoch_, seq}, n, ahead);
}

bool NatsBroker::is_in_snapshot(const std::string& channel, uint64_t seq) const {
    const auto found = loaded_at_.find(channel);
    return found != loaded_at_.end() && seq <= found->second;
}

// By the time at which it was written, which is the same for all nodes.
bool NatsBroker::is_repeat(const NatsEntry& entry, uint64_t seq, Published& published) {
    const auto* known = keys_.find(entry.channel, entry.key, entry.at);
    if (!known || known->position.seq == seq) // a snapshot has it already
        return false;
    published.status = known->content == *entry.content ? Published::Status::Replayed
                                                        : Published::Status::Mismatch;
    published.position = known->position;
    published.n = known->n;
    return true;
}

void NatsBroker::remember_key(const NatsEntry& entry, uint64_t seq, uint64_t n) {
    if (!keys_.find(entry.channel, entry.key, entry.at) &&
        keys_.insert(entry.channel, entry.key, {*entry.content, {epoch_, seq}, n}, entry.at))
        reached(Limit::IdempotencyKeys);
}

void NatsBroker::apply_message(NatsEntry& entry, uint64_t seq, Turn& turn, Published& published) {
    const bool has_key = entry.content && !entry.key.empty();
    if (has_key && is_repeat(entry, seq, published))
        return;
    published.status = Published::Status::Published;
    Channel* channel = channel_of(entry.channel, seq, published.status);
    if (!channel)
        return;
    if (is_in_snapshot(entry.channel, seq)) {
        if (has_key)
            remember_key(entry, seq, channel->n);
        return;
    }
    expire(*channel, std::min(entry.at - behind(), clock_.now()), turn.garbage);
    if (channel->history.empty() && !channel->retained)
        channel->n = 0; // as if it had been freed, which it was on other nodes
    const uint64_t n = entry.c ? channel->n + 1 : 0;
    const MessageRef message = message_of(entry, entry.channel, seq, n);
    if (!message) {
        log_event(LogLevel::Error, "broker_record",
                  {{"broker", settings_.name}, {"channel", entry.channel}});
        free_if_empty(*channel);
        published.status = Published::Status::Down;
        return;
    }
    channel->n += entry.c ? 1 : 0;
    published.position = message->position;
    published.n = n;
    if (has_key)
        remember_key(entry, seq, n);
    published.subscribers = place(*channel, message, turn);
    published.is_heard = is_heard(entry.channel);
}

void NatsBroker::apply_removal(const NatsEntry& entry, uint64_t seq, Turn& turn, Removal& removal) {
    Channel* channel = find(entry.channel);
    removal = channel ? Removal::Removed : Removal::Unknown;
    if (!channel || is_in_snapshot(entry.channel, seq))
        return;
    if (!is_loading_)
        return end_channel(*channel, seq, turn.garbage);
    kept_bytes_ -= channel->history.bytes();
    channel->history.clear(turn.garbage);
    channel->retained = nullptr;
    free_if_empty(*channel);
}

void NatsBroker::apply_mark(NatsEntry& entry, uint64_t seq, Turn& turn, Marked& marked) {
    ReadMark mark;
    mark.channel = entry.channel;
    mark.user = entry.user;
    mark.position = {entry.a, entry.b};
    marked = judge(mark);
    if (marked.status != Marked::Status::Moved)
        return;
    const ReadMarkers::Moved moved = move_marker_to(mark);
    marked.status = moved.has_moved ? Marked::Status::Moved : Marked::Status::Kept;
    marked.position = {epoch_of(moved.seq), moved.seq};
    Channel* told = find(entry.other);
    if (!moved.has_moved || !told || is_loading_)
        return;
    settings_of(*told);
    const MessageRef message = message_of(entry, entry.other, seq, 0);
    if (told->settings && message && !message->stored)
        place(*told, message, turn);
}

// ---- snapshots

// One at a time; a writer who is gone is not waited for.
void NatsBroker::apply_begin(const NatsEntry& entry) {
    const bool is_taken = !snapshot_writer_.empty() &&
                          wire_clock_.now() < snapshot_at_ + kSnapshotWithin && !is_loading_;
    if (is_taken)
        return;
    snapshot_writer_ = entry.node;
    snapshot_begin_ = applied_;
    snapshot_at_ = wire_clock_.now();
    snapshot_bytes_ = log_bytes_;
    snapshot_ = nullptr;
    if (entry.node == self_ && !is_loading_) {
        snapshot_ = std::make_unique<Snapshot>();
        snapshot_->begin = applied_;
        snapshot_->end = snapshot_end();
        markers_.begin_copy();
        nudge();
    }
}

void NatsBroker::apply_end(const NatsEntry& entry) {
    if (entry.a == snapshot_begin_ && entry.node == snapshot_writer_) {
        log_bytes_ -= std::min(log_bytes_, snapshot_bytes_);
        least_bytes_ = log_bytes_;
        snapshot_writer_.clear();
    }
}

} // namespace fanhorn
