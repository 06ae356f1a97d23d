// SPDX-License-Identifier: Apache-2.0
#include "modules/redis_url.h"

#include "base/text.h"
#include "http/url.h"

#include <algorithm>
#include <optional>

namespace fanhorn {

namespace {

constexpr std::string_view kScheme = "redis://", kUnix = "unix:";

struct Parts {
    std::string user, password, host, port, database;
};

bool is_database(std::string_view text) {
    return text.empty() || (text.size() <= 5 && parse_u64(text));
}

bool take_credentials(std::string_view text, Parts& parts) {
    const size_t colon = text.find(':');
    if (colon == text.npos)
        return false;
    const auto user = percent_decode(text.substr(0, colon));
    const auto password = percent_decode(text.substr(colon + 1));
    if (user && password) {
        parts.user = *user;
        parts.password = *password;
    }
    return user && password;
}

std::optional<Parts> split(std::string_view url) {
    Parts parts;
    url.remove_prefix(kScheme.size());
    if (const size_t at = url.rfind('@'); at != url.npos) {
        if (!take_credentials(url.substr(0, at), parts))
            return std::nullopt;
        url.remove_prefix(at + 1);
    }
    const std::string authority(take_until(url, '/'));
    const auto server = http::parse_url("http://" + authority);
    if (!server || !is_database(url))
        return std::nullopt;
    parts.host = server->host;
    parts.port = authority.ends_with(':' + server->port) ? server->port : "6379";
    parts.database = url == "0" ? "" : url;
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
