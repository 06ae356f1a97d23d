// SPDX-License-Identifier: Apache-2.0
// The NATS broker and its stream: reaching it, finding out whether it is still the same, following
// it.
#include "base/log.h"
#include "base/random.h"
#include "modules/broker_local_channel.h"
#include "modules/broker_nats.h"
#include "modules/broker_nats_snapshot.h"

#include <algorithm>

#include <pthread.h>
#include <signal.h>

namespace fanhorn {

namespace {

constexpr Millis kLookMs = 100;
constexpr Millis kToldEvery = 1000;    // what the server refuses
constexpr size_t kAppliedAtOnce = 128; // for which the sequencer is held
constexpr size_t kSliceChannels = 256;
// So often an epoch is tried to begin while others write into the stream.
constexpr int kMostRounds = 20;
// From an epoch's end to the next one's begin: more than any node can have seen of what was lost.
constexpr uint64_t kLeap = 1'000'000;

// Microseconds since 2025.
uint64_t by_clock() {
    return static_cast<uint64_t>(wall_millis() - 1'735'689'600'000) * 1000;
}

} // namespace

bool NatsBroker::is_stopping() {
    std::lock_guard lock(queue_mutex_);
    return is_stopping_;
}

void NatsBroker::follow() {
    sigset_t all;
    sigfillset(&all); // signals are the main thread's, and those of libnats inherit it
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    pthread_setname_np(pthread_self(), "fanhorn/nats");
    while (!is_stopping()) {
        auto followed = open();
        if (followed)
            come_up();
        while (followed && !is_stopping()) {
            auto records = stream_->next(kAppliedAtOnce, kLookMs);
            if (records)
                apply(*records);
            followed = records ? look_after() : Error{records.error()};
            if (followed && is_suspect_)
                followed = Error{"somebody has deleted what the stream held"};
        }
        lose(followed.error());
        pause();
    }
}

// ---- reaching it

Result<void> NatsBroker::open() {
    stream_ = std::make_shared<NatsLink>(
        [this](uint64_t request, std::string_view reason) { on_refused(request, reason); });
    if (auto opened = stream_->open(peer_); !opened)
        return opened;
    const auto stream = stream_->find_stream();
    if (!stream)
        return Error{stream.error()};
    max_entry_ = stream_->max_payload();
    bool is_continued = false;
    if (auto checked = check_log(*stream, is_continued); !checked)
        return checked;
    if (!is_continued)
        if (auto loaded = load(*stream); !loaded)
            return loaded;
    if (auto followed = stream_->follow(applied_ + 1); !followed)
        return followed;
    if (auto caught_up = catch_up(stream->last); !caught_up)
        return caught_up;
    if (auto settled = settle_epoch(*stream); !settled)
        return settled;
    if (is_loading_)
        finish_load();
    return {};
}

// Whether what comes next continues what was applied.
Result<void> NatsBroker::check_log(const NatsStream& stream, bool& is_continued) {
    if (is_loading_)
        return {};
    if (stream.first > applied_ + 1 && stream.last > applied_)
        return {}; // a snapshot has taken the place of what we missed
    if (stream.last >= applied_ && stream.first == applied_ + 1) {
        is_continued = true;
        return {};
    }
    if (stream.last >= applied_) {
        const auto record = stream_->record(applied_);
        if (!record)
            return Error{record.error()};
        is_continued = *record && keyed_hash((*record)->bytes) == last_hash_;
    }
    if (!is_continued) {
        is_suspect_ = true;
        suspect_epoch_ = epoch_;
    }
    return {};
}

Result<void> NatsBroker::load(const NatsStream& stream) {
    {
        std::lock_guard lock(mutex_);
        reset();
        log_bytes_ = stream.bytes;
    }
    if (auto loaded = load_snapshot(stream); !loaded)
        return loaded;
    std::lock_guard lock(mutex_);
    if (applied_ == 0 && stream.first > 1) {
        applied_ = stream.first - 1;
        is_cut_ = true;
    }
    return {};
}

// Under mutex_. As a broker that has kept nothing; what is wanted stays.
void NatsBroker::reset() {
    is_loading_ = true;
    applied_ = unknown_below_ = 0;
    is_cut_ = false;
    given_ = head_ = epoch_ = 0;
    kept_bytes_ = 0;
    epochs_.clear();
    server_.clear();
    people_.clear();
    nodes_.clear();
    to_bury_.clear();
    snapshot_writer_.clear();
    snapshot_ = nullptr;
    keys_ = {};
    std::destroy_at(&markers_);
    std::construct_at(&markers_);
    watermarks_ = {};
    section_watermarks_.clear();
    earlier_watermark_ = 0;
    loaded_at_.clear();
    const std::vector<Channel*> all(by_name_.begin(), by_name_.end());
    for (Channel* channel : all) {
        channel->history = History();
        channel->retained = nullptr;
        channel->n = 0;
        free_if_empty(*channel);
    }
}

Result<void> NatsBroker::catch_up(uint64_t last) {
    while (applied_ < last && !is_stopping()) {
        auto records = stream_->next(kAppliedAtOnce, NatsLink::kAnswersWithin);
        if (!records)
            return Error{records.error()};
        if (records->empty())
            return Error{"what it has stored does not come"};
        apply(*records);
    }
    return {};
}

// ---- epochs

// One server alone may have lost, in a restart, what it had acknowledged: there is no telling.
bool NatsBroker::needs_epoch(const NatsStream& stream) const {
    const bool has_restarted = !stream.is_replicated && server_ != stream_->server_id();
    const bool is_behind = is_loading_ && head_ < seen_;
    return epoch_ == 0 || has_restarted || is_behind || (is_suspect_ && epoch_ == suspect_epoch_);
}

NatsEntry NatsBroker::epoch_entry(const NatsStream& stream) const {
    NatsEntry made = entry(Kind::Epoch);
    SipKey key = name_key_;
    if (epoch_ == 0)
        random_bytes(&key, sizeof key);
    made.a = std::max(by_clock(), std::max(head_, seen_) + kLeap);
    made.b = random_epoch();
    made.text.assign(reinterpret_cast<const char*>(&key), sizeof key);
    if (!stream.is_replicated)
        made.other = stream_->server_id();
    return made;
}

// Before anything else is written there: where another node is quicker, its epoch is ours.
Result<void> NatsBroker::settle_epoch(const NatsStream& stream) {
    for (int round = 0; needs_epoch(stream); ++round) {
        if (round == kMostRounds)
            return Error{"no epoch could begin there"};
        auto begun = stream_->publish_behind(applied_, "log", encode_entry(epoch_entry(stream)));
        if (!begun)
            return Error{begun.error()};
        const auto now = stream_->find_stream();
        if (!now)
            return Error{now.error()};
        if (auto caught_up = catch_up(now->last); !caught_up)
            return caught_up;
    }
    is_suspect_ = false;
    return {};
}

// ---- up

// Under mutex_ some at a time: nobody is served yet.
void NatsBroker::finish_load() {
    Garbage garbage;
    std::string next;
    for (bool is_done = false; !is_done;) {
        std::lock_guard lock(mutex_);
        auto at = by_name_.lower_bound(std::string_view(next));
        std::vector<Channel*> some;
        for (; at != by_name_.end() && some.size() < kSliceChannels; ++at)
            some.push_back(*at);
        is_done = at == by_name_.end();
        if (!is_done)
            next = (*at)->name;
        for (Channel* channel : some) {
            expire(*channel, clock_.now(), garbage);
            schedule(*channel);
            free_if_empty(*channel);
        }
    }
    After after;
    {
        std::lock_guard lock(mutex_);
        for (uint64_t& mark : watermarks_)
            mark = std::max(mark, unknown_below_);
        earlier_watermark_ = *std::max_element(watermarks_.begin(), watermarks_.end());
        loaded_at_.clear();
        is_loading_ = false;
        if (has_loaded_)
            lose_all(head_);
        if (has_loaded_ || !nodes_.contains(node_))
            say_all_again();
        has_loaded_ = true;
        tell_pushed();
        take(after);
    }
    after.run();
}

void NatsBroker::come_up() {
    std::vector<std::function<void()>> parked;
    {
        std::lock_guard lock(mutex_);
        for (auto& [name, node] : nodes_)
            node.seen_at = wire_clock_.now(); // of their silence we know nothing
        parked.swap(parked_);
    }
    {
        std::lock_guard lock(queue_mutex_);
        link_ = stream_;
        is_up_ = true;
    }
    told_reason_.clear();
    pause_ = kLeastPause;
    renewed_at_ = 0;
    log_event(LogLevel::Notice, "broker_up", {{"broker", settings_.name}});
    for (const auto& task : parked)
        task();
    nudge();
}

// Some times a second.
Result<void> NatsBroker::look_after() {
    const Millis now = wire_clock_.now();
    {
        std::lock_guard lock(queue_mutex_);
        if (!waiting_.empty() && now >= waiting_.begin()->second.since + NatsLink::kAnswersWithin)
            return Error{"what it is asked to store does not come back"};
    }
    if (now >= renewed_at_ + renews_every_) {
        renewed_at_ = now;
        renew();
        look_at_leases();
    }
    return {};
}

void NatsBroker::renew() {
    std::vector<NatsEntry> entries;
    entries.push_back(entry(Kind::Renewal));
    {
        std::lock_guard lock(mutex_);
        entries[0].of = node_;
    }
    submit(std::move(entries), std::make_shared<Command>());
}

// Nodes that say nothing let their users go; whichever node is first says so.
void NatsBroker::look_at_leases() {
    std::vector<NatsEntry> entries;
    {
        std::lock_guard lock(mutex_);
        const Millis now = wire_clock_.now();
        for (auto& [name, node] : nodes_) {
            if (name == node_ || now < node.seen_at + lease_)
                continue;
            node.seen_at = now;
            if (node.is_dead) { // who was to do it is gone
                to_bury_.push_back(name);
                continue;
            }
            NatsEntry& made = entries.emplace_back(entry(Kind::Burial));
            made.of = name;
            made.a = node.renewed;
        }
    }
    if (!entries.empty())
        submit(std::move(entries), std::make_shared<Command>());
}

// ---- away

void NatsBroker::on_refused(uint64_t request, std::string_view reason) {
    if (const Millis now = wire_clock_.now(); now >= refused_at_ + kToldEvery) {
        refused_at_ = now;
        log_event(LogLevel::Error, "broker_refused",
                  {{"broker", settings_.name}, {"reason", reason}});
    }
    settle(request, {});
}

// Whoever waits is told; who reads is served with what is here.
void NatsBroker::lose(std::string_view reason) {
    std::map<uint64_t, Waiting> waiting;
    bool was_up = false;
    {
        std::lock_guard lock(queue_mutex_);
        was_up = is_up_.exchange(false);
        link_ = nullptr;
        queue_.clear();
        waiting.swap(waiting_);
        bytes_under_way_ = 0;
        if (is_stopping_)
            return;
    }
    if (was_up || told_reason_ != reason)
        log_event(LogLevel::Error, "broker_down",
                  {{"broker", settings_.name}, {"reason", reason}, {"retry_ms", pause_}});
    told_reason_ = reason;
    stream_->close();
    for (const auto& [request, each] : waiting)
        settle_one(each, {});
    std::vector<std::pair<uint64_t, std::function<void()>>> behind;
    {
        std::lock_guard lock(mutex_);
        behind.swap(behind_said_);
    }
    for (const auto& [noted, task] : behind)
        task();
}

void NatsBroker::pause() {
    const auto wait = static_cast<Millis>(random_below(static_cast<uint32_t>(pause_))) + 1;
    pause_ = std::min(2 * pause_, kMostPause);
    std::unique_lock lock(queue_mutex_);
    is_wanted_.wait_for(lock, std::chrono::milliseconds(wait), [this] { return is_stopping_; });
}

} // namespace fanhorn
