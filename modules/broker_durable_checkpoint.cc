// SPDX-License-Identifier: Apache-2.0
// A durable broker writes down anew what it keeps, some at a time, so that what its log had of it
// before can go.
#include "modules/broker_durable_checkpoint.h"

#include "base/log.h"
#include "modules/broker_local_channel.h"

namespace fanhorn {

namespace {

constexpr size_t kSliceChannels = 256, kSliceRest = 1024;
constexpr size_t kSliceBytes = 1 << 20;
constexpr int64_t kPauses = 60; // behind one that failed

} // namespace

bool DurableBroker::is_checkpoint_due() {
    if (monotonic_micros() < checkpoint_at_)
        return false;
    std::lock_guard lock(mutex_);
    // What is no message, as markers are, counts by what the last one wrote of it.
    const uint64_t kept = std::max<uint64_t>(kept_bytes_, checkpoint_bytes_);
    return is_checkpoint_wanted_ || store_->bytes() > 2 * kept + slack_bytes_;
}

bool DurableBroker::begin_checkpoint() {
    if (auto begun = store_->begin_checkpoint(); !begun) {
        give_up_checkpoint(begun.error());
        return false;
    }
    checkpoint_ = std::make_unique<Checkpoint>();
    checkpoint_->begun_at = monotonic_micros();
    std::lock_guard lock(mutex_);
    markers_.begin_copy();
    return true;
}

// As if the disk had failed: it goes on in another segment.
void DurableBroker::give_up_checkpoint(std::string_view reason) {
    checkpoint_ = nullptr;
    store_->give_up_checkpoint();
    checkpoint_at_ = monotonic_micros() + kPauses * pause_micros_;
    note_failure(reason);
}

// One slice. False: it failed.
bool DurableBroker::go_on_with_checkpoint() {
    Checkpoint& checkpoint = *checkpoint_;
    checkpoint.entries.clear();
    bool has_more = true;
    if (checkpoint.has_channels)
        copy_channels();
    else
        has_more = copy_rest();
    checkpoint.bytes += checkpoint.entries.size();
    if (auto done = store_->commit(checkpoint.entries, 0, true); !done) {
        give_up_checkpoint(done.error());
        return false;
    }
    return has_more || end_checkpoint();
}

bool DurableBroker::end_checkpoint() {
    if (auto ended = store_->end_checkpoint(); !ended) {
        give_up_checkpoint(ended.error());
        return false;
    }
    counters_.log_checkpoints.add(1);
    log_event(LogLevel::Info, "broker_log_checkpoint",
              {{"broker", name_},
               {"bytes", checkpoint_->bytes},
               {"ms", (monotonic_micros() - checkpoint_->begun_at) / 1000}});
    checkpoint_bytes_ = checkpoint_->bytes;
    checkpoint_ = nullptr;
    is_checkpoint_wanted_ = false;
    return true;
}

// From the beginning, while nothing else can be stored.
bool DurableBroker::write_checkpoint() {
    if (!begin_checkpoint())
        return false;
    while (checkpoint_)
        if (!go_on_with_checkpoint())
            return false;
    return true;
}

// References under the lock; their bytes are copied outside.
void DurableBroker::copy_channels() {
    Checkpoint& checkpoint = *checkpoint_;
    std::vector<ChannelCopy> copies;
    size_t bytes = 0;
    {
        std::lock_guard lock(mutex_);
        auto next = by_name_.lower_bound(std::string_view(checkpoint.next_channel));
        for (; next != by_name_.end() && copies.size() < kSliceChannels && bytes < kSliceBytes;
             ++next) {
            copies.push_back(copy_of(**next));
            bytes += (*next)->history.bytes();
        }
        checkpoint.has_channels = next != by_name_.end();
        if (checkpoint.has_channels)
            checkpoint.next_channel = (*next)->name;
    }
    for (const ChannelCopy& copy : copies) {
        log_channel(checkpoint.entries, copy.channel, copy.n, copy.trimmed);
        if (copy.past)
            log_message(checkpoint.entries, *copy.past, wall_of(copy.past->stored_at), true);
        for (const MessageRef& message : copy.messages)
            log_message(checkpoint.entries, *message, wall_of(message->stored_at), false);
    }
}

// Keys, then markers, then what is of no channel that is there. False: that was all.
bool DurableBroker::copy_rest() {
    Checkpoint& checkpoint = *checkpoint_;
    std::string& entries = checkpoint.entries;
    std::lock_guard lock(mutex_);
    if (!keys_.is_behind(checkpoint.next_key)) {
        checkpoint.next_key = keys_.each(
            checkpoint.next_key, kSliceRest,
            [&](std::string channel, std::string key, const IdempotencyKeys::Entry& entry,
                Millis used_at) {
                log_key(entries, {std::move(channel), std::move(key), entry, wall_of(used_at)});
            });
        return true;
    }
    if (checkpoint.has_markers) {
        checkpoint.has_markers = markers_.copy(
            kSliceRest, [&](std::string_view user, std::string_view channel, uint64_t seq) {
                log_marker(entries, user, channel, seq);
            });
        return true;
    }
    for (size_t i = 0; i < watermarks_.size(); ++i)
        if (watermarks_[i])
            log_watermark(entries, i, watermarks_[i]);
    for (const LostStretch& lost : losses_)
        log_loss(entries, lost);
    return false;
}

} // namespace fanhorn
