// SPDX-License-Identifier: Apache-2.0
#include "server/routes.h"

#include "base/text.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr std::string_view kChannelsPrefix = "/channels/";
constexpr std::string_view kUsersPrefix = "/users/";
constexpr std::string_view kPubPrefix = "/pub/";
constexpr std::string_view kSubPrefix = "/sub/";

struct Fixed {
    std::string_view path;
    uint8_t serve; // any of these bits
    Route::Kind kind;
    std::string_view allow;
};

constexpr uint8_t kServeAnything = 0xff;

constexpr Fixed kFixed[] = {
    {"/sub", kServeSubscribe, Route::Kind::SubBody, "GET, HEAD, POST, OPTIONS"},
    {"/sub/", kServeSubscribe, Route::Kind::SubBody, "GET, HEAD, POST, OPTIONS"},
    {"/pub", kServePublish, Route::Kind::PubBatch, "POST, OPTIONS"},
    {"/channels", kServeControl, Route::Kind::Channels, "GET, HEAD, OPTIONS"},
    {"/healthz", kServeAnything, Route::Kind::Health, "GET, HEAD, OPTIONS"},
    {"/readyz", kServeAnything, Route::Kind::Ready, "GET, HEAD, OPTIONS"},
    {"/metrics", kServeMetrics, Route::Kind::Metrics, "GET, HEAD, OPTIONS"},
    {"/dashboard", kServeMetrics, Route::Kind::Dashboard, "GET, HEAD, OPTIONS"},
    {"/dashboard/events", kServeMetrics, Route::Kind::DashboardEvents, "GET, HEAD, OPTIONS"},
    {"/", kServeClient, Route::Kind::Page, "GET, HEAD, OPTIONS"},
    {"/demo", kServeClient, Route::Kind::Page, "GET, HEAD, OPTIONS"},
    {"/chat", kServeClient, Route::Kind::Page, "GET, HEAD, OPTIONS"},
    {"/fanhorn.js", kServeClient, Route::Kind::Page, "GET, HEAD, OPTIONS"},
    {"/fanhorn.mjs", kServeClient, Route::Kind::Page, "GET, HEAD, OPTIONS"},
};

// What is asked of a channel: the last segment behind /channels/.
struct Verb {
    std::string_view suffix;
    Route::Kind kind;
};
constexpr Verb kVerbs[] = {{"/history", Route::Kind::History},
                           {"/presence", Route::Kind::Presence}};

Route find_verb(std::string_view path) {
    for (const Verb& verb : kVerbs)
        if (path.ends_with(verb.suffix) && path.size() > verb.suffix.size())
            return {verb.kind, path.substr(0, path.size() - verb.suffix.size()),
                    "GET, HEAD, OPTIONS"};
    return {};
}

} // namespace

bool Route::allows(http::Method method) const {
    // No method's name is a part of another's, and "-" of none.
    return allow.find(http::method_name(method)) != allow.npos;
}

Route find_route(std::string_view path, uint8_t serve) {
    for (const Fixed& fixed : kFixed)
        if (path == fixed.path && (serve & fixed.serve))
            return {fixed.kind, {}, fixed.allow};
    if (path.starts_with(kPubPrefix) && (serve & (kServePublish | kServeControl))) {
        // Publishing and control share the path; each listener has its part of the methods.
        const bool publish = serve & kServePublish;
        const bool control = serve & kServeControl;
        return {Route::Kind::Pub, path.substr(kPubPrefix.size()),
                publish && control ? "GET, HEAD, POST, PUT, DELETE, OPTIONS"
                : publish          ? "POST, PUT, OPTIONS"
                                   : "GET, HEAD, DELETE, OPTIONS"};
    }
    if (path.starts_with(kSubPrefix) && (serve & kServeSubscribe))
        return {Route::Kind::Sub, path.substr(kSubPrefix.size()), "GET, HEAD, POST, OPTIONS"};
    if (path.starts_with(kChannelsPrefix) && (serve & kServeControl))
        return find_verb(path.substr(kChannelsPrefix.size()));
    if (path.starts_with(kUsersPrefix) && path.size() > kUsersPrefix.size() &&
        (serve & kServeControl))
        return {Route::Kind::User, path.substr(kUsersPrefix.size()), "POST, DELETE, OPTIONS"};
    return {};
}

bool is_private(Route::Kind kind) {
    switch (kind) {
    case Route::Kind::Pub:
    case Route::Kind::PubBatch:
    case Route::Kind::Channels:
    case Route::Kind::History:
    case Route::Kind::Presence:
    case Route::Kind::User:
    case Route::Kind::Metrics:
    case Route::Kind::Dashboard:
    case Route::Kind::DashboardEvents:
        return true;
    default:
        return false;
    }
}

Result<std::string> decode_channel(std::string_view encoded) {
    auto name = percent_decode(encoded);
    if (!name)
        return Error{"the channel name has a bad percent escape"};
    if (!is_channel_name(*name))
        return Error{"a channel name is 1 to 255 bytes of UTF-8 without control characters, ',' "
                     "and '*'"};
    if (is_reserved(*name))
        return Error{"channel names that begin with '$' are reserved"};
    return std::move(*name);
}

Result<std::string> decode_user(std::string_view encoded) {
    auto name = percent_decode(encoded);
    if (!name || !is_channel_name("$user:" + *name))
        return Error{"a user's name is 1 to 249 bytes of UTF-8 without control characters, ',' and "
                     "'*'"};
    return std::move(*name);
}

Result<std::vector<std::string>> decode_channels(std::string_view encoded) {
    std::vector<std::string> names;
    for (size_t start = 0, end = 0; end != encoded.npos; start = end + 1) {
        end = encoded.find(',', start);
        auto name = decode_channel(encoded.substr(start, end - start));
        if (!name)
            return Error{name.error()};
        if (std::find(names.begin(), names.end(), *name) == names.end())
            names.push_back(std::move(*name));
    }
    return names;
}

} // namespace fanhorn
