// SPDX-License-Identifier: Apache-2.0
// Where a daemon listens, and names inside a URL.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace fanhorn::ctl {

// http://HOST[:PORT], http://[V6]:PORT, or unix:/PATH. A path behind the host is an error.
struct Url {
    std::string host; // for connecting; "" for a unix socket
    std::string port = "80";
    std::string path;                    // of a unix socket
    std::string authority = "localhost"; // the Host field
};
Result<Url> parse_url(std::string_view text);

// What may not stand in a path segment or a query value becomes %XX; so does '/'.
std::string percent_encode(std::string_view text);

} // namespace fanhorn::ctl
