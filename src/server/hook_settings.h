// SPDX-License-Identifier: Apache-2.0
// [hooks NAME]: which application is told of what, and how.
#pragma once

#include "base/clock.h"
#include "relay/pattern.h"
#include "server/endpoint.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fanhorn {

// In the order of the words of the row `events`: its bits.
enum class HookEvent : uint8_t {
    Connected,
    Disconnected,
    Joined,
    Left,
    Occupied,
    Vacated,
    Offline,
};
inline constexpr const char* kHookEvents =
    "connected disconnected joined left occupied vacated offline";

struct HookSettings {
    std::string name;
    std::string url, tls_ca, tls_certificate, tls_key;
    Endpoint endpoint;                // of these
    std::vector<std::string> secrets; // the body is signed with each
    uint32_t events = 127;            // bits of HookEvent
    std::vector<std::string> channels;
    std::vector<Pattern> patterns; // of these; empty: all channels
    uint32_t batch_events = 500;
    size_t batch_bytes = 256 << 10;
    Millis delay = 500, timeout = 5000, grace = 5000;
    uint32_t queue_events = 100'000;
    size_t queue_bytes = 16 << 20;
    Millis queue_age = 3'600'000;

    bool wants(HookEvent event, const std::string& channel) const;
};

} // namespace fanhorn
