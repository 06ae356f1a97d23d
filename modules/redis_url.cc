// SPDX-License-Identifier: Apache-2.0
#include "modules/redis_url.h"

#include <algorithm>
#include <optional>

namespace fanhorn {

namespace {

constexpr std::string_view kScheme = "redis://", kUnix = "unix:";

struct Parts {
    std::string user, password, host, port = "6379", database;
};

bool is_number(std::string_view text, size_t most) {
    return !text.empty() && text.size() <= most &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// RFC 3986 section 2.1; what is no escape stays.
std::string unescaped(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        const bool is_escape =
            text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0;
        out += is_escape ? static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])) : text[i];
        i += is_escape ? 2 : 0;
    }
    return out;
}

// Takes HOST[:PORT], where the host may be [v6].
bool split_host(std::string_view text, Parts& parts) {
    size_t colon = text.rfind(':');
    if (text.starts_with('[')) {
        const size_t end = text.find(']');
        if (end == text.npos)
            return false;
        parts.host = text.substr(1, end - 1);
        colon = end + 1 < text.size() ? end + 1 : text.npos;
        if (colon != text.npos && text[colon] != ':')
            return false;
    } else {
        parts.host = text.substr(0, colon);
    }
    if (colon != text.npos)
        parts.port = text.substr(colon + 1);
    return !parts.host.empty() && is_number(parts.port, 5);
}

std::optional<Parts> split(std::string_view url) {
    Parts parts;
    url.remove_prefix(kScheme.size());
    if (const size_t at = url.rfind('@'); at != url.npos) {
        const std::string_view credentials = url.substr(0, at);
        const size_t colon = credentials.find(':');
        if (colon == credentials.npos)
            return std::nullopt;
        parts.user = unescaped(credentials.substr(0, colon));
        parts.password = unescaped(credentials.substr(colon + 1));
        url.remove_prefix(at + 1);
    }
    if (const size_t slash = url.find('/'); slash != url.npos) {
        parts.database = url.substr(slash + 1);
        url = url.substr(0, slash);
        if (!parts.database.empty() && !is_number(parts.database, 5))
            return std::nullopt;
    }
    if (!split_host(url, parts))
        return std::nullopt;
    return parts;
}

} // namespace

Result<std::string> check_redis_url(std::string_view url) {
    const bool is_unix =
        url.starts_with(kUnix) && url.size() > kUnix.size() && url[kUnix.size()] == '/';
    if (is_unix || (url.starts_with(kScheme) && split(url)))
        return std::string(url);
    return Error{"a Redis URL is redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] or unix:/PATH"};
}

Result<RedisPeer> find_redis(std::string_view url) {
    if (auto checked = check_redis_url(url); !checked)
        return Error{checked.error()};
    RedisPeer peer;
    if (url.starts_with(kUnix)) {
        auto address = unix_peer(std::string(url.substr(kUnix.size())));
        if (!address)
            return Error{address.error()};
        peer.destination.peers.push_back(*address);
        return peer;
    }
    const Parts parts = *split(url);
    auto addresses = resolve_host(parts.host, parts.port);
    if (!addresses)
        return Error{addresses.error()};
    peer.destination.peers = std::move(*addresses);
    peer.destination.host = parts.host;
    peer.user = parts.user;
    peer.password = parts.password;
    peer.database = parts.database;
    return peer;
}

} // namespace fanhorn
