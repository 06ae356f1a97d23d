// SPDX-License-Identifier: Apache-2.0
// Which path means what on which listener.
#pragma once

#include "http/request.h"
#include "server/config.h"

#include <optional>
#include <string>
#include <string_view>

namespace fanhorn {

struct Route {
    enum class Kind : uint8_t {
        None,
        Pub,             // /pub/CHANNEL[,CHANNEL...]
        PubBatch,        // /pub
        Channels,        // /channels
        History,         // /channels/CHANNEL/history
        Presence,        // /channels/CHANNEL/presence
        Sub,             // /sub/CHANNEL[,CHANNEL...]
        SubBody,         // /sub, /sub/: the body names channels, or nothing does (yet)
        User,            // /users/USER
        Health,          // /healthz
        Ready,           // /readyz
        Metrics,         // /metrics
        Page,            // /, /demo, /chat, /fanhorn.js, /fanhorn.mjs
        Dashboard,       // /dashboard
        DashboardEvents, // /dashboard/events
    };
    Kind kind = Kind::None;
    std::string_view channels; // of the path, percent-encoded
    // The methods it knows, as an Allow header lists them.
    std::string_view allow;

    bool allows(http::Method method) const;
};

// `path` outlives the route.
Route find_route(std::string_view path, uint8_t serve);

// Whether what it does may not be done through a visitor's browser.
bool is_private(Route::Kind kind);

// One channel name of a path: percent-decoded once and checked; the problem's detail otherwise.
Result<std::string> decode_channel(std::string_view encoded);
// A user's name, likewise.
Result<std::string> decode_user(std::string_view encoded);
// A comma-separated list of them; repeated names count once.
Result<std::vector<std::string>> decode_channels(std::string_view encoded);

} // namespace fanhorn
