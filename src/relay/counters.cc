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

void DurationHistogram::add(const DurationHistogram& other) {
    for (size_t i = 0; i < kBuckets; ++i)
        buckets[i].add(other.buckets[i].value());
    sum_micros.add(other.sum_micros.value());
}

std::string_view use_name(Use use) {
    static constexpr std::array<std::string_view, kUses> kNames = {"websocket", "sse", "longpoll",
                                                                   "poll", "http"};
    return kNames[static_cast<size_t>(use)];
}

std::string_view limit_name(Limit limit) {
    static constexpr std::array<std::string_view, kLimits> kNames = {
        "header_size",
        "header_count",
        "uri_size",
        "header_timeout",
        "body_size",
        "body_timeout",
        "idle_timeout",
        "send_timeout",
        "subscriptions",
        "channels",
        "mailbox_bytes",
        "ws_fragments",
        "presence_users",
        "max_connections",
        "descriptors",
        "message_size",
        "slow_consumer_limit",
        "heartbeat",
        "idempotency_keys",
        "filters",
        "token_size",
        "publish_rate",
        "wildcards",
        "wildcard_channels",
        "read_markers",
        "user_read_markers",
        "auth_requests",
        "cache_answers",
        "handshakes",
        "http2_streams",
        "http2_resets",
        "http2_frames",
        "connections_per_address",
        "connection_rate",
        "connections_per_user",
        "subscribers",
        "memory",
        "log_queue",
        "commands",
        "connection_max_age",
        "accept_rate",
        "channels_per_user",
    };
    return kNames[static_cast<size_t>(limit)];
}

std::string_view shed_name(Shed what) {
    static constexpr std::array<std::string_view, kSheds> kNames = {"subscription", "reader",
                                                                    "publish"};
    return kNames[static_cast<size_t>(what)];
}

std::string_view auth_refusal_name(AuthRefusal why) {
    static constexpr std::array<std::string_view, kAuthRefusals> kNames = {
        "missing", "malformed", "large",     "key",    "signature",  "expired",
        "early",   "claims",    "forbidden", "denied", "unavailable"};
    return kNames[static_cast<size_t>(why)];
}

std::string_view peer_refusal_name(PeerRefusal why) {
    static constexpr std::array<std::string_view, kPeerRefusals> kNames = {"untrusted", "malformed",
                                                                           "not_allowed"};
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
    // Peers that went away, or have been here for long, are everyday life.
    const bool is_usual = limit == Limit::IdleTimeout || limit == Limit::Heartbeat ||
                          limit == Limit::ConnectionMaxAge;
    log_event(is_usual ? LogLevel::Info : LogLevel::Notice, limit_event(limit),
              {{"limit", limit_name(limit)}, {"who", who.empty() ? "-" : who}});
}

// A counter that is new is to be added up as well.
static_assert(sizeof(Counters) ==
              sizeof(Counter) * (2 * kUses + kGapReasons + 3 + kLimits + kSheds + kAuthRefusals +
                                 kPeerRefusals + 12 + 18) +
                  3 * sizeof(DurationHistogram));

void Counters::add(const Counters& other) {
    const auto each = [](auto& own, const auto& others) {
        for (size_t i = 0; i < own.size(); ++i)
            own[i].add(others[i].value());
    };
    each(connections, other.connections);
    each(deliveries, other.deliveries);
    each(gaps, other.gaps);
    each(evictions, other.evictions);
    each(limit_hits, other.limit_hits);
    each(memory_shed, other.memory_shed);
    each(auth_refused, other.auth_refused);
    each(peers_refused, other.peers_refused);
    each(handshakes, other.handshakes);
    for (Counter Counters::*single :
         {&Counters::subscriptions, &Counters::stalled, &Counters::accepted, &Counters::requests,
          &Counters::sent_bytes, &Counters::received_bytes, &Counters::published,
          &Counters::client_published, &Counters::commands, &Counters::command_errors,
          &Counters::tokens_expired, &Counters::handshakes_waiting, &Counters::http2_connections,
          &Counters::http2_streams, &Counters::log_bytes, &Counters::log_errors,
          &Counters::log_refused, &Counters::log_checkpoints})
        (this->*single).add((other.*single).value());
    mailbox.add(other.mailbox);
    flush.add(other.flush);
    log_commit.add(other.log_commit);
}

// Not what is there now.
template <typename All, typename See> static void each_total(All& all, See see) {
    const auto list = [&](auto& counters) {
        for (auto& each : counters)
            see(each);
    };
    list(all.deliveries);
    list(all.gaps);
    list(all.evictions);
    list(all.limit_hits);
    list(all.memory_shed);
    list(all.auth_refused);
    list(all.peers_refused);
    list(all.handshakes);
    for (Counter Counters::*single :
         {&Counters::accepted, &Counters::requests, &Counters::sent_bytes,
          &Counters::received_bytes, &Counters::published, &Counters::client_published,
          &Counters::commands, &Counters::command_errors, &Counters::tokens_expired,
          &Counters::http2_streams, &Counters::log_errors, &Counters::log_refused,
          &Counters::log_checkpoints})
        see(all.*single);
    for (DurationHistogram Counters::*histogram :
         {&Counters::mailbox, &Counters::flush, &Counters::log_commit}) {
        list((all.*histogram).buckets);
        see((all.*histogram).sum_micros);
    }
}

std::vector<uint64_t> Counters::totals() const {
    std::vector<uint64_t> totals;
    each_total(*this, [&](const Counter& each) { totals.push_back(each.value()); });
    return totals;
}

void Counters::add_totals(std::span<const uint64_t> totals) {
    size_t count = 0;
    each_total(*this, [&](const Counter&) { ++count; });
    if (totals.size() != count)
        return;
    each_total(*this, [&](Counter& each) {
        each.add(totals.front());
        totals = totals.subspan(1);
    });
}

void Counters::hit(Limit limit, std::string_view who) {
    count(limit);
    log_limit(limit, who);
}

void Counters::shed(Shed what, std::string_view who) {
    memory_shed[static_cast<size_t>(what)].add(1);
    hit(Limit::Memory, who);
}

void Counters::refuse(PeerRefusal why, std::string_view who, std::string_view reason) {
    static constexpr std::array<std::string_view, kPeerRefusals> kEvents = {
        "peer_untrusted", "proxy_header_malformed", "peer_not_allowed"};
    peers_refused[static_cast<size_t>(why)].add(1);
    const std::string_view event = kEvents[static_cast<size_t>(why)];
    if (reason.empty())
        return log_event(LogLevel::Notice, event, {{"who", who}});
    log_event(LogLevel::Notice, event, {{"who", who}, {"reason", reason}});
}

} // namespace fanhorn
