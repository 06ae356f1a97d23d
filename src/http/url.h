// SPDX-License-Identifier: Apache-2.0
// Where a daemon listens, and names inside a URL.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace fanhorn::http {

// http://HOST[:PORT], https://[V6]:PORT, or unix:/PATH. A path behind the host is an error.
struct Url {
    std::string host; // for connecting; "" for a unix socket
    std::string port = "80";
    std::string path;                    // of a unix socket
    std::string authority = "localhost"; // the Host field
    bool is_secure = false;
};
Result<Url> parse_url(std::string_view text);

// Where a stream comes from: http:// or https://, a host, perhaps a path and a query.
struct Upstream {
    Url url;
    std::string target = "/";
};
Result<Upstream> parse_upstream(std::string_view text);
// Where a Location (RFC 9110 section 10.2.2) in an answer of `from` leads; not from https to http.
Result<Upstream> redirected(const Upstream& from, std::string_view location);

// What may not stand in a path segment or a query value becomes %XX; so does '/'.
std::string percent_encode(std::string_view text);

} // namespace fanhorn::http
