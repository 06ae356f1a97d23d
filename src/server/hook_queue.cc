// SPDX-License-Identifier: Apache-2.0
#include "server/hook_queue.h"

#include "base/check.h"
#include "base/text.h"

#include <algorithm>
#include <iterator>

namespace fanhorn {

std::string_view HookQueue::drop_name(size_t drop) {
    static constexpr std::array<std::string_view, kDrops> kNames = {"events", "bytes", "age",
                                                                    "stop"};
    return kNames[drop];
}

void HookQueue::push(std::string_view rest, Millis now) {
    std::string json = "{\"id\":\"" + start_ + ".";
    append_number(json, ++raised_);
    json.append("\",").append(rest).append("}");
    bytes_ += json.size();
    waiting_bytes_ += json.size();
    waiting_.push_back({std::move(json), now});
    while (!waiting_.empty() && events() > bounds_.events)
        drop_oldest(Drop::Events);
    while (!waiting_.empty() && bytes_ > bounds_.bytes)
        drop_oldest(Drop::Bytes);
}

void HookQueue::drop_oldest(Drop why) {
    bytes_ -= waiting_.front().json.size();
    waiting_bytes_ -= waiting_.front().json.size();
    waiting_.pop_front();
    ++dropped_[static_cast<size_t>(why)];
    ++untold_;
}

bool HookQueue::is_due(Millis now) const {
    return waiting_.size() >= bounds_.batch_events || waiting_bytes_ >= bounds_.batch_bytes ||
           now - waiting_.front().at >= bounds_.delay;
}

std::optional<std::string> HookQueue::take(Millis now, bool hurries) {
    if (is_sending() || waiting_.empty())
        return std::nullopt;
    if (!hurries && (now < paused_until_ || !is_due(now)))
        return std::nullopt;
    telling_ = untold_;
    std::string body = "{\"dropped\":";
    append_number(body, telling_);
    body += ",\"events\":[";
    const size_t head = body.size();
    while (!waiting_.empty() && flying_.size() < bounds_.batch_events) {
        const size_t size = waiting_.front().json.size();
        if (!flying_.empty() && body.size() - head + size > bounds_.batch_bytes)
            break;
        body.append(flying_.empty() ? "" : ",").append(waiting_.front().json);
        waiting_bytes_ -= size;
        flying_.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
    }
    return body + "]}";
}

void HookQueue::settle(Outcome outcome, Millis now) {
    CHECK(is_sending());
    if (outcome == Outcome::Taken) {
        for (const Event& event : flying_)
            bytes_ -= event.json.size();
        taken_ += flying_.size();
        untold_ -= telling_;
        failures_ = 0;
    } else {
        for (const Event& event : flying_)
            waiting_bytes_ += event.json.size();
        waiting_.insert(waiting_.begin(), std::make_move_iterator(flying_.begin()),
                        std::make_move_iterator(flying_.end()));
        if (outcome == Outcome::Failed)
            paused_until_ = now + pause();
    }
    flying_.clear();
}

Millis HookQueue::pause() {
    constexpr int kDoublings = 6;
    const Millis full = std::min(kMostPause, kLeastPause << std::min(failures_++, kDoublings));
    return std::uniform_int_distribution<Millis>(full / 2, full)(random_);
}

void HookQueue::expire(Millis now) {
    while (!waiting_.empty() && now - waiting_.front().at > bounds_.age)
        drop_oldest(Drop::Age);
}

void HookQueue::abandon() {
    CHECK(!is_sending());
    while (!waiting_.empty())
        drop_oldest(Drop::Stop);
}

} // namespace fanhorn
