// SPDX-License-Identifier: Apache-2.0
// How one kind of connection is sent the log: each function appends ready bytes to `out`.
#pragma once

#include "relay/counters.h"
#include "relay/message.h"

#include <string>
#include <string_view>

namespace fanhorn {

// Why a subscription's connection ends from our side.
struct Farewell {
    enum class Why : uint8_t {
        GoingAway,    // drain, stop: come back in retry_ms
        SlowConsumer, // slow_consumer = disconnect
        Ended,        // its last channel was deleted
        Expired,      // its token has
        Disconnected, // by the backend: its user is not wanted
    };
    Why why = Why::GoingAway;
    uint32_t retry_ms = 0; // jittered by the caller
};

// What opens a connection.
struct Hello {
    const ConnectionId& connection;
    Position position;
    Millis heartbeat;
};

// One object a worker; the feeds of a channel are told apart by its address. What message()
// appends depends on the message alone, or it could not be shared.
class Encoding {
  public:
    virtual ~Encoding() = default;
    virtual Use use() const = 0;
    // Whether this kind of connection is sent unstored messages.
    virtual bool carries_unstored() const { return true; }
    // Whether it is told who joins and who leaves.
    virtual bool carries_presence() const { return false; }

    virtual void message(std::string& out, const Message& message) = 0;
    // Whether a state may go out as a patch of the one before it (RFC 6902), to readers who have
    // that; and such a patch. False, with `out` as it was, where it would not be smaller.
    virtual bool makes_patches() const { return false; }
    virtual bool patch(std::string&, const Message&, const Message&) { return false; }
    // The channel's retained value, for a newcomer.
    virtual void retained(std::string& out, const Message& message) = 0;
    virtual void gap(std::string& out, const Gap& gap) = 0;
    virtual void hello(std::string& out, const Hello& hello) = 0;
    virtual void position(std::string& out, Position position) = 0;
    virtual void heartbeat(std::string& out, Position position) = 0;
    // For who speaks commands: a ready reply; the replay of one channel is done, its client has
    // everything up to `position`.
    virtual void reply(std::string&, std::string_view) {}
    virtual void caught_up(std::string&, std::string_view, Position) {}
    virtual void end(std::string& out, std::string_view channel, std::string_view code) = 0;
    virtual void farewell(std::string& out, const Farewell& farewell) = 0;
};

} // namespace fanhorn
