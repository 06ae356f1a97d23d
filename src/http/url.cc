// SPDX-License-Identifier: Apache-2.0
#include "http/url.h"

#include "base/text.h"
#include "http/grammar.h"

#include <algorithm>

namespace fanhorn::http {

Result<Url> parse_url(std::string_view text) {
    const std::string quoted = "'" + std::string(text) + "'";
    Url url;
    if (text.starts_with("unix:/")) {
        url.path = text.substr(5);
        return url;
    }
    url.is_secure = text.starts_with("https://");
    if (!url.is_secure && !text.starts_with("http://"))
        return Error{quoted + " is not http://HOST:PORT, https://HOST:PORT or unix:/PATH"};
    if (url.is_secure)
        url.port = "443";
    text.remove_prefix(url.is_secure ? 8 : 7);
    url.authority = take_until(text, '/');
    if (!text.empty())
        return Error{quoted + " has a path; only the listener is named"};
    if (!http::is_authority(url.authority))
        return Error{quoted + " names no host"};
    const size_t bracket = url.authority.find(']');
    const size_t colon = url.authority.find(':', bracket == std::string::npos ? 0 : bracket);
    url.host = url.authority.substr(0, colon);
    if (colon != std::string::npos)
        url.port = url.authority.substr(colon + 1);
    if (url.host.starts_with('['))
        url.host = url.host.substr(1, url.host.size() - 2);
    if (url.host.empty() || url.port.empty())
        return Error{quoted + " names no host, or no port behind the ':'"};
    return url;
}

Result<Upstream> parse_upstream(std::string_view text) {
    if (!text.starts_with("https://") && !text.starts_with("http://"))
        return Error{"'" + std::string(text) + "' is not http://HOST/PATH or https://HOST/PATH"};
    std::string_view rest = text.substr(0, text.find('#'));
    const std::string_view root = rest.substr(0, rest.find_first_of("/?", rest.find("://") + 3));
    const auto url = parse_url(root);
    if (!url)
        return Error{url.error()};
    Upstream upstream;
    upstream.url = *url;
    rest.remove_prefix(root.size());
    const auto is_unfit = [](char byte) {
        return static_cast<uint8_t>(byte) <= 0x20 || byte == 0x7f;
    };
    if (std::any_of(rest.begin(), rest.end(), is_unfit))
        return Error{"'" + std::string(text) +
                     "' has blanks or control characters: write them as %20"};
    upstream.target = (rest.starts_with('/') ? "" : "/") + std::string(rest);
    return upstream;
}

Result<Upstream> redirected(const Upstream& from, std::string_view location) {
    if (location.empty())
        return Error{"a redirect without a Location"};
    const std::string scheme = from.url.is_secure ? "https:" : "http:";
    const std::string root = scheme + "//" + from.url.authority;
    std::string path = from.target.substr(0, from.target.find('?'));
    std::string next;
    if (location.find("://") < location.find_first_of("/?#"))
        next = location;
    else if (location.starts_with("//"))
        next = scheme + std::string(location);
    else if (location[0] == '/')
        next = root + std::string(location);
    else if (location[0] == '?')
        next = root + path + std::string(location);
    else
        next = root + path.substr(0, path.rfind('/') + 1) + std::string(location);
    auto upstream = parse_upstream(next);
    if (upstream && from.url.is_secure && !upstream->url.is_secure)
        return Error{"a redirect from https to http is not followed"};
    return upstream;
}

std::string percent_encode(std::string_view text) {
    static constexpr std::string_view kPlain =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        "0123456789-._~:$@";
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (kPlain.find(c) != kPlain.npos) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
    return out;
}

} // namespace fanhorn::http
