// SPDX-License-Identifier: Apache-2.0
#include "server/endpoint.h"

#include "http/url.h"
#include "server/surroundings.h"

#include <optional>

namespace fanhorn {

namespace {

constexpr std::string_view kUnix = "http://unix:";

struct UnixUrl {
    std::string socket, target;
};

std::optional<UnixUrl> parse_unix_url(std::string_view url) {
    const size_t colon = url.find(':', kUnix.size());
    if (colon == url.npos)
        return std::nullopt;
    UnixUrl parts{std::string(url.substr(kUnix.size(), colon - kUnix.size())),
                  std::string(url.substr(colon + 1))};
    if (!parts.socket.starts_with('/') || !parts.target.starts_with('/') ||
        !http::parse_upstream("http://localhost" + parts.target))
        return std::nullopt;
    return parts;
}

} // namespace

Result<std::string> check_endpoint(std::string_view url) {
    const bool is_good =
        url.starts_with(kUnix) ? parse_unix_url(url).has_value() : http::parse_upstream(url).ok();
    if (!is_good)
        return Error{"is not http://HOST[:PORT]/PATH, https://HOST[:PORT]/PATH or "
                     "http://unix:/SOCKET:/PATH"};
    return std::string(url);
}

bool is_secure_endpoint(std::string_view url) {
    return url.starts_with("https:");
}

Result<Endpoint> find_endpoint(const std::string& url, const Surroundings& world) {
    if (url.starts_with(kUnix)) {
        const auto parts = parse_unix_url(url);
        const auto peer = unix_peer(parts->socket);
        if (!peer)
            return Error{peer.error()};
        return Endpoint{{.peers = {*peer}}, "localhost", parts->target};
    }
    const auto upstream = http::parse_upstream(url);
    auto peers = world.resolve(upstream->url.host, upstream->url.port);
    if (!peers)
        return Error{peers.error()};
    return Endpoint{{.peers = std::move(*peers), .host = upstream->url.host},
                    upstream->url.authority,
                    upstream->target};
}

} // namespace fanhorn
