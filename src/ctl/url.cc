// SPDX-License-Identifier: Apache-2.0
#include "ctl/url.h"

#include "base/text.h"
#include "http/grammar.h"

namespace fanhorn::ctl {

Result<Url> parse_url(std::string_view text) {
    const std::string quoted = "'" + std::string(text) + "'";
    Url url;
    if (text.starts_with("unix:/")) {
        url.path = text.substr(5);
        return url;
    }
    if (text.starts_with("https:"))
        return Error{
            "https is not in this version; use http to the listener itself, or a proxy before it"};
    if (!text.starts_with("http://"))
        return Error{quoted + " is not http://HOST:PORT or unix:/PATH"};
    text.remove_prefix(7);
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

} // namespace fanhorn::ctl
