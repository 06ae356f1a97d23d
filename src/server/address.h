// SPDX-License-Identifier: Apache-2.0
// The texts that name places on a network, as they stand in a configuration.
#pragma once

#include "base/result.h"
#include "server/config.h"

#include <string>
#include <string_view>

namespace fanhorn {

// "127.0.0.1:80", "[::1]:80", "*:80" (every IPv4 address), "unix:/path", "fd:NAME". No names: to
// look them up would block.
Result<Address> parse_address(std::string_view text);

// Two addresses that cannot both be listened on have the same key; "" for one that never clashes
// (port 0).
std::string address_key(const Address& address);

// "scheme://host[:port]" as browsers write it in an Origin header (RFC 6454 section 6.2): lower
// case, no default port; or "*".
Result<std::string> parse_origin(std::string_view text);

// A host name or address as in a Host header, without a port, in lower case.
Result<std::string> parse_host(std::string_view text);

} // namespace fanhorn
