// SPDX-License-Identifier: Apache-2.0
#include "server/origin.h"

#include "base/text.h"
#include "http/response.h"

#include <algorithm>

namespace fanhorn {

namespace {

// "host" of "host:port"; "[::1]" keeps its brackets.
std::string_view host_of(std::string_view authority) {
    if (authority.starts_with('['))
        return authority.substr(0, authority.find(']') + 1);
    return authority.substr(0, authority.find(':'));
}

// The authority of "scheme://authority"; "" for "null" and what is none.
std::string_view authority_of(std::string_view origin) {
    const size_t slashes = origin.find("://");
    return slashes == origin.npos ? std::string_view() : origin.substr(slashes + 3);
}

bool is_address(std::string_view host) {
    if (host.starts_with('['))
        return true;
    const auto is_part = [](char byte) { return is_digit(byte) || byte == '.'; };
    return !host.empty() && std::all_of(host.begin(), host.end(), is_part);
}

bool is_listed(std::string_view origin, const std::vector<std::string>& origins) {
    return std::any_of(origins.begin(), origins.end(), [&](const std::string& each) {
        return each == "*" || equal_ignoring_case(each, origin);
    });
}

bool is_same_origin(const http::Request& request, std::string_view origin) {
    const std::string_view authority = authority_of(origin);
    return !authority.empty() && equal_ignoring_case(authority, request.authority);
}

} // namespace

bool is_origin_allowed(const http::Request& request, const ListenerSettings& listener) {
    const std::string* origin = request.header("Origin");
    return !origin || listener.origins.empty() || is_same_origin(request, *origin) ||
           is_listed(*origin, listener.origins);
}

// Without an Origin it is no page's script, but may be a link or an image of another site's: new
// browsers tell (Sec-Fetch-Site).
bool is_cookie_allowed(const http::Request& request, const ListenerSettings& listener) {
    if (const std::string* origin = request.header("Origin"))
        return is_same_origin(request, *origin) ||
               std::any_of(listener.origins.begin(), listener.origins.end(),
                           [&](const auto& each) { return equal_ignoring_case(each, *origin); });
    const std::string* site = request.header("Sec-Fetch-Site");
    return !site || *site == "same-origin" || *site == "none";
}

std::string cors_headers(const http::Request& request, const ListenerSettings& listener) {
    const std::string* origin = request.header("Origin");
    if (!origin || !is_origin_allowed(request, listener))
        return {};
    std::string out;
    const bool is_open = listener.origins.empty() || !is_listed(*origin, listener.origins) ||
                         std::count(listener.origins.begin(), listener.origins.end(), "*") > 0;
    http::append_header(out, "Access-Control-Allow-Origin", is_open ? "*" : *origin);
    if (!is_open)
        http::append_header(out, "Access-Control-Allow-Credentials", "true");
    http::append_header(out, "Access-Control-Expose-Headers",
                        "Fanhorn-Id, Fanhorn-Connection, Fanhorn-Replayed, ETag, Retry-After");
    return out;
}

std::string preflight_headers() {
    std::string out;
    http::append_header(out, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    http::append_header(
        out, "Access-Control-Allow-Headers",
        "Authorization, Cache-Control, Content-Type, Fanhorn-Connection, Fanhorn-Event, "
        "Fanhorn-Exclude, Fanhorn-Store, Fanhorn-Ttl, Idempotency-Key, "
        "If-None-Match, Last-Event-ID");
    http::append_header(out, "Access-Control-Max-Age", "86400");
    return out;
}

std::string private_refusal(const http::Request& request, const ListenerSettings& listener) {
    const std::string* origin = request.header("Origin");
    if (origin && !is_same_origin(request, *origin) && !is_listed(*origin, listener.origins))
        return "a web page of another origin may not do this; list it under 'origins' if it should";
    const std::string_view host = host_of(request.authority);
    if (host.empty() || is_address(host) || equal_ignoring_case(host, "localhost"))
        return {};
    const auto is_ours = [&](const std::string& each) { return equal_ignoring_case(each, host); };
    if (std::any_of(listener.hosts.begin(), listener.hosts.end(), is_ours))
        return {};
    return "this listener does not answer to that Host; list it under 'hosts' if it should";
}

} // namespace fanhorn
