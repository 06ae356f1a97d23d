// SPDX-License-Identifier: Apache-2.0
#include "relay/counters.h"

#include "base/log.h"

namespace fanhorn {

void DurationHistogram::observe(int64_t micros) {
    const uint64_t duration = micros < 0 ? 0 : static_cast<uint64_t>(micros);
    size_t bucket = 0;
    while (bucket + 1 < kBuckets && duration > bound_micros(bucket))
        ++bucket;
    buckets[bucket].add(1);
    sum_micros.add(duration);
}

std::string_view use_name(Use use) {
    static constexpr std::array<std::string_view, kUses> kNames = {"websocket", "sse", "longpoll",
                                                                   "poll", "http"};
    return kNames[static_cast<size_t>(use)];
}

std::string_view limit_name(Limit limit) {
    static constexpr std::array<std::string_view, kLimits> kNames = {
        "header_size",         "header_count",     "uri_size",         "header_timeout",
        "body_size",           "body_timeout",     "idle_timeout",     "send_timeout",
        "subscriptions",       "channels",         "mailbox_bytes",    "ws_fragments",
        "presence_users",      "max_connections",  "descriptors",      "message_size",
        "slow_consumer_limit", "heartbeat",        "idempotency_keys", "filters",
        "token_size",          "publish_rate",     "wildcards",        "wildcard_channels",
        "read_markers",        "user_read_markers"};
    return kNames[static_cast<size_t>(limit)];
}

std::string_view auth_refusal_name(AuthRefusal why) {
    static constexpr std::array<std::string_view, kAuthRefusals> kNames = {
        "missing", "malformed", "large",  "key",      "signature",
        "expired", "early",     "claims", "forbidden"};
    return kNames[static_cast<size_t>(why)];
}

// An event of its own for each limit, or a storm of one would hold back the lines of the others.
static std::string_view limit_event(Limit limit) {
    static const auto kEvents = [] {
        std::array<std::string, kLimits> events;
        for (size_t i = 0; i < kLimits; ++i)
            events[i] = std::string(limit_name(static_cast<Limit>(i))) + "_reached";
        return events;
    }();
    return kEvents[static_cast<size_t>(limit)];
}

void log_limit(Limit limit, std::string_view who) {
    // Peers that went away are everyday life.
    const bool is_usual = limit == Limit::IdleTimeout || limit == Limit::Heartbeat;
    log_event(is_usual ? LogLevel::Info : LogLevel::Notice, limit_event(limit),
              {{"limit", limit_name(limit)}, {"who", who.empty() ? "-" : who}});
}

void Counters::hit(Limit limit, std::string_view who) {
    count(limit);
    log_limit(limit, who);
}

} // namespace fanhorn
