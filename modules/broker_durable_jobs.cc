// SPDX-License-Identifier: Apache-2.0
#include "modules/broker_durable_jobs.h"

namespace fanhorn {

// Before the first message of a channel: what is gone of one of that name that was freed. A
// checkpoint that was past it by then says that for the freed one alone.
void DurableBroker::log_staged(std::string& entries, const Staged& staged, Millis wall,
                               std::string_view key, const Digest* content) {
    const Channel& channel = *staged.channel;
    const uint64_t trimmed = channel.history.trimmed();
    if (trimmed > 0 && channel.history.empty() && !channel.retained && channel.staged == 1)
        log_channel(entries, channel.name, channel.n, trimmed);
    log_message(entries, *staged.message, wall, false, key, content);
}

DurableBroker::PublishJob::PublishJob(std::vector<Draft> drafts, Done done)
    : drafts_(std::move(drafts)), done_(std::move(done)) {
    for (const Draft& draft : drafts_)
        if (!draft.idempotency_key.empty())
            contents_.push_back(content_digest(draft));
}

size_t DurableBroker::PublishJob::bytes() const {
    size_t bytes = 0;
    for (const Draft& draft : drafts_)
        bytes += sizeof draft + draft.payload.size();
    return bytes;
}

void DurableBroker::PublishJob::stage(DurableBroker& broker, Millis now, std::string& entries) {
    auto next_content = contents_.begin();
    const Millis wall = broker.wall_of(now);
    for (size_t i = 0; i < drafts_.size(); ++i) {
        Draft& draft = drafts_[i];
        const Digest* content = draft.idempotency_key.empty() ? nullptr : &*next_content++;
        Staged staged = broker.LocalBroker::stage(draft, content, now, results_.emplace_back());
        const Message* message = staged.message.get();
        if (!message)
            continue;
        if (message->stored || message->retained)
            log_staged(entries, staged, wall, draft.idempotency_key, content);
        else if (content)
            log_key(entries, {message->channel,
                              draft.idempotency_key,
                              {*content, message->position, message->n},
                              wall});
        steps_.push_back({i, std::move(staged)});
    }
}

void DurableBroker::PublishJob::apply(DurableBroker& broker, Garbage& garbage) {
    for (const Step& step : steps_)
        results_[step.index].subscribers = broker.LocalBroker::apply(step.staged, garbage);
}

void DurableBroker::PublishJob::drop(DurableBroker& broker) {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step)
        take_back(broker, *step);
    steps_.clear();
    results_.resize(drafts_.size());
    for (Published& result : results_) {
        // A repeat may be one of what was dropped.
        if (result.status != Published::Status::Published &&
            result.status != Published::Status::Replayed)
            continue;
        result = {.status = Published::Status::Down};
        broker.counters_.log_refused.add(1);
    }
}

void DurableBroker::PublishJob::take_back(DurableBroker& broker, const Step& step) {
    Channel& channel = *step.staged.channel;
    const std::string& key = drafts_[step.index].idempotency_key;
    if (!key.empty())
        broker.keys_.take_back(channel.name, key);
    --channel.staged;
    broker.free_if_empty(channel);
}

void DurableBroker::RemoveJob::stage(DurableBroker& broker, Millis, std::string& entries) {
    channel_ = broker.find(name_);
    if (!channel_) {
        result_ = Removal::Unknown; // whatever becomes of the group
        return;
    }
    ++channel_->staged;
    seq_ = ++broker.given_;
    log_removal(entries, name_, seq_);
}

void DurableBroker::RemoveJob::apply(DurableBroker& broker, Garbage& garbage) {
    if (!channel_)
        return;
    result_ = Removal::Removed;
    --channel_->staged;
    broker.end_channel(*channel_, seq_, garbage);
}

void DurableBroker::RemoveJob::drop(DurableBroker& broker) {
    if (!channel_)
        return;
    --channel_->staged;
    broker.free_if_empty(*channel_);
}

void DurableBroker::MarkJob::stage(DurableBroker& broker, Millis now, std::string& entries) {
    result_ = broker.judge(mark_);
    if (result_.status != Marked::Status::Moved)
        return;
    std::string key = mark_.user + ',' + mark_.channel;
    const auto staged = broker.staged_markers_.find(key);
    const auto known = staged == broker.staged_markers_.end()
                           ? broker.markers_.find(mark_.user, mark_.channel)
                           : std::optional(staged->second);
    const uint64_t seq = mark_.position.seq;
    if (known && *known >= seq) {
        result_ = {Marked::Status::Kept, {broker.epoch_, *known}};
        return;
    }
    broker.staged_markers_[std::move(key)] = seq;
    log_marker(entries, mark_.user, mark_.channel, seq);
    if (!broker.find(mark_.told.channel))
        return;
    Published published;
    told_ = broker.LocalBroker::stage(mark_.told, nullptr, now, published);
    if (told_.message && (told_.message->stored || told_.message->retained))
        log_staged(entries, told_, broker.wall_of(now));
}

void DurableBroker::MarkJob::apply(DurableBroker& broker, Garbage& garbage) {
    if (result_.status == Marked::Status::Moved)
        broker.move_marker_to(mark_);
    if (told_.message)
        broker.LocalBroker::apply(told_, garbage);
}

void DurableBroker::MarkJob::drop(DurableBroker& broker) {
    if (result_.status == Marked::Status::Moved || result_.status == Marked::Status::Kept)
        result_ = {Marked::Status::Down, {}};
    if (!told_.message)
        return;
    --told_.channel->staged;
    broker.free_if_empty(*told_.channel);
}

void DurableBroker::TellJob::stage(DurableBroker& broker, Millis, std::string&) {
    staged_ = broker.stage_told(channel_, kind_, who_, exclude_);
}

void DurableBroker::TellJob::apply(DurableBroker& broker, Garbage& garbage) {
    if (staged_.message)
        broker.LocalBroker::apply(staged_, garbage);
}

void DurableBroker::TellJob::drop(DurableBroker& broker) {
    if (!staged_.message)
        return;
    --staged_.channel->staged;
    broker.free_if_empty(*staged_.channel);
}

} // namespace fanhorn
