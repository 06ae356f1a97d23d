// SPDX-License-Identifier: Apache-2.0
// What a worker counts. One writer, the worker; whoever serves /metrics reads and adds up.
#pragma once

#include "relay/message.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

namespace fanhorn {

// A number with one writing thread and any number of readers.
class Counter {
  public:
    void add(uint64_t by) { set(value() + by); }
    void subtract(uint64_t by) { set(value() - by); }
    void set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
    uint64_t value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<uint64_t> value_{0};
};

// Durations in buckets of powers of four, from 16 microseconds to 4 seconds and beyond.
class DurationHistogram {
  public:
    static constexpr size_t kBuckets = 11; // the last one is +Inf
    static constexpr uint64_t bound_micros(size_t bucket) { return 16ull << (2 * bucket); }
    void observe(int64_t micros);
    void add(const DurationHistogram& other);

    std::array<Counter, kBuckets> buckets;
    Counter sum_micros;
};

// How a connection is used at the moment.
enum class Use : uint8_t { Websocket, Sse, Longpoll, Poll, Http };
inline constexpr size_t kUses = 5;
std::string_view use_name(Use use);

// Every limit a stranger can reach, by the name of its configuration key.
enum class Limit : uint8_t {
    HeaderSize,
    HeaderCount,
    UriSize,
    HeaderTimeout,
    BodySize,
    BodyTimeout,
    IdleTimeout,
    SendTimeout,
    Subscriptions,
    Channels,
    MailboxBytes,
    WsFragments,
    PresenceUsers,
    MaxConnections,
    Descriptors,
    MessageSize,
    SlowConsumerLimit,
    Heartbeat,
    IdempotencyKeys,
    Filters,
    TokenSize,
    PublishRate,
    Wildcards,
    WildcardChannels,
    ReadMarkers,
    UserReadMarkers,
    AuthRequests,
    CacheAnswers,
    Handshakes,
    Http2Streams,
    Http2Resets,
    Http2Frames,
    ConnectionsPerAddress,
    ConnectionRate,
    ConnectionsPerUser,
    Subscribers,
    Memory,
    LogQueue,
    Commands,
    ConnectionMaxAge,
    AcceptRate,
    ChannelsPerUser,
};
inline constexpr size_t kLimits = 42;
std::string_view limit_name(Limit limit);
// The log line of Counters::hit alone, for who may not write one while it counts.
void log_limit(Limit limit, std::string_view who = {});

// What is not done for want of memory, in the order in which that begins.
enum class Shed : uint8_t {
    Subscription, // refused
    Reader,       // closed
    Publish,      // refused
};
inline constexpr size_t kSheds = 3;
std::string_view shed_name(Shed what);

// Why a client was not let in, as far as its token goes.
enum class AuthRefusal : uint8_t {
    Missing,   // none was given, or one of another [auth] section
    Malformed, // not what a token looks like, or given twice
    Large,     // longer than token_size
    Key,       // an algorithm or a key that is not ours
    Signature,
    Expired,
    Early,       // not valid yet
    Claims,      // of another issuer, for another audience, or without sense
    Forbidden,   // valid, and not enough
    Denied,      // by the application
    Unavailable, // the application did not say
};
inline constexpr size_t kAuthRefusals = 11;
std::string_view auth_refusal_name(AuthRefusal why);

// Why a connection or a request was not wanted from where it came.
enum class PeerRefusal : uint8_t {
    Untrusted, // no proxy that may say where its clients are
    Malformed, // what it said is no PROXY header
    NotAllowed,
};
inline constexpr size_t kPeerRefusals = 3;
std::string_view peer_refusal_name(PeerRefusal why);

struct Counters {
    std::array<Counter, kUses> connections; // now
    Counter subscriptions, stalled;         // now; stalled: subscribers whose socket is full
    std::array<Counter, kUses> deliveries;
    Counter accepted, requests, sent_bytes, received_bytes, published, client_published;
    Counter commands, command_errors; // of fanhorn.v1
    std::array<Counter, kGapReasons> gaps;
    std::array<Counter, 3> evictions; // by SlowConsumer
    std::array<Counter, kLimits> limit_hits;
    std::array<Counter, kSheds> memory_shed;
    std::array<Counter, kAuthRefusals> auth_refused;
    std::array<Counter, kPeerRefusals> peers_refused;
    Counter tokens_expired;             // on open connections, which that ended
    std::array<Counter, 12> handshakes; // of TLS, by HandshakeEnd of net/tls.h
    Counter handshakes_waiting;         // now
    Counter http2_connections;          // now
    Counter http2_streams;
    DurationHistogram mailbox, flush;
    // Of brokers that write a log.
    Counter log_bytes;   // now, on the disk
    Counter log_errors;  // times that the disk failed
    Counter log_refused; // publishes that could not be stored
    Counter log_checkpoints;
    DurationHistogram log_commit; // of a group, on the disk or written

    void count(Limit limit) { limit_hits[static_cast<size_t>(limit)].add(1); }
    // Counts it and writes a log line, which a storm of them does not multiply. `who` it was, as
    // far as that is known.
    void hit(Limit limit, std::string_view who = {});
    // A hit() of Limit::Memory.
    void shed(Shed what, std::string_view who = {});
    // Adds all that another one has counted, as it stands.
    void add(const Counters& other);
    // What only grows, for another process to go on from; nothing where it counts other things.
    std::vector<uint64_t> totals() const;
    void add_totals(std::span<const uint64_t> totals);
    void refuse(AuthRefusal why) { auth_refused[static_cast<size_t>(why)].add(1); }
    // Counts it and writes a log line, as hit().
    void refuse(PeerRefusal why, std::string_view who, std::string_view reason = {});
    void gap(Gap::Why why) { gaps[static_cast<size_t>(why)].add(1); }
};

} // namespace fanhorn
