// SPDX-License-Identifier: Apache-2.0
// What a [channel PATTERN] section settles for the channels it governs, and a [broker NAME]
// section. Constant after loading.
#pragma once

#include "base/clock.h"
#include "relay/log_sync.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

class ClientTls;

// How a Redis server is found: by its URL, by asking sentinels, or as the node of a cluster that
// has our keys.
enum class RedisMode : uint8_t { Single, Sentinel, Cluster };

// A [broker NAME] section.
struct BrokerSettings {
    std::string name, origin; // "": the built-in one; where it is written
    std::string type = "local";
    std::string url, prefix = "fanhorn:"; // of a server behind it
    RedisMode mode = RedisMode::Single;
    std::vector<std::string> sentinels;           // where they are
    std::string master;                           // by which name they know it
    std::string tls_ca, tls_certificate, tls_key; // paths
    std::shared_ptr<const ClientTls> tls;         // made of these; null: without
    std::string path; // local: the folder of its log; "": its messages are in memory alone
    LogSync sync = LogSync::Always;
    size_t log_queue = 64 << 20; // bytes that wait for it
    uint32_t commands = 20'000;  // that a server has not answered
};

// What happens to a subscriber whose unsent live messages exceed slow_consumer_limit.
enum class SlowConsumer : uint8_t {
    Gap,        // told the gap, goes on at the oldest message within the limit
    Latest,     // told the gap, goes on with what comes next
    Disconnect, // closed with a reason; may resume
};

// Whether states may go out as patches of the one before.
enum class Delta : uint8_t { Off, JsonPatch };

class Authority;
struct ClaimRule;

// So many in a period, which may all come at once; a `count` of 0: as many as you like.
struct Rate {
    uint32_t count = 0;
    uint32_t period_ms = 0;

    bool is_limited() const { return count != 0; }
};

// Who may do something.
struct Access {
    // As written: "public", "deny" or "off" for nobody, else the name of an [auth] section, and
    // perhaps a rule behind it.
    std::string text;
    std::shared_ptr<const Authority> authority = nullptr; // of that section
    std::shared_ptr<const ClaimRule> rule = nullptr; // instead of what a token lists, null: none

    bool is_public() const { return text == "public"; }
    bool is_denied() const { return text == "deny" || text == "off"; }
};

struct ChannelSettings {
    std::string pattern; // as written, e.g. "chat:*"; "" for none
    std::string origin;  // FILE:LINE of the section, for -M

    std::vector<std::string> transports = {"websocket", "sse", "longpoll", "poll"};
    Access subscribe = {"public", nullptr};
    Access client_publish = {"off", nullptr};
    Rate publish_rate;  // of each connection's, and each user's, messages
    std::string broker; // a [broker NAME], "" for the built-in memory one

    uint32_t history = 100;         // messages
    Millis history_ttl = 600'000;   // age
    size_t history_bytes = 1 << 20; // payload and overhead of the kept messages
    size_t message_size = 64 << 10; // bytes of one payload
    Millis heartbeat = 25'000;
    SlowConsumer slow_consumer = SlowConsumer::Gap;
    size_t slow_consumer_limit = 256 << 10; // bytes of unsent live messages, in memory
    bool presence = false;                  // who is on the channel can be asked
    Millis presence_grace = 10'000;         // from a user's last connection to his having left
    uint32_t presence_users = 10'000;       // of one channel
    uint32_t subscribers = 0;               // of one channel on this node; 0: no limit
    Delta delta = Delta::Off;
    bool joins = false;    // subscribers are told who comes and goes
    std::string conflate;  // a tag's name; "": a slow reader is told a gap
    bool wildcard = false; // whether many of them may be subscribed to by a pattern
    bool filter = true;    // whether subscribers may have one
    bool compress = true;  // permessage-deflate where the client offers it

    // Whether that transport (a module's negotiation name) may be used on the channel.
    bool allows(std::string_view transport) const;
};

} // namespace fanhorn
