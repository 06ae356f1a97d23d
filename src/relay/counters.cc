// SPDX-License-Identifier: Apache-2.0
#include "relay/counters.h"

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
        "header_size",         "header_count", "uri_size",        "header_timeout",  "body_size",
        "body_timeout",        "idle_timeout", "send_timeout",    "subscriptions",   "channels",
        "mailbox_bytes",       "ws_fragments", "max_connections", "descriptors",     "message_size",
        "slow_consumer_limit", "heartbeat",    "results",         "idempotency_keys"};
    return kNames[static_cast<size_t>(limit)];
}

} // namespace fanhorn
