// SPDX-License-Identifier: Apache-2.0
// What a proxy sends before the first byte of the client's (HAProxy's proxy-protocol.txt), versions
// 1 and 2, strict.
#pragma once

#include "base/net_address.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fanhorn::http {

struct ProxyHeader {
    enum class Status : uint8_t { NeedMore, Whole, Malformed };

    Status status = Status::NeedMore;
    size_t size = 0; // Whole: its bytes; what comes behind them is the client's
    // Whole: where the client is. Empty where the proxy does not say (UNKNOWN, UNSPEC) or speaks
    // for itself (LOCAL): the connection's own peer counts then.
    std::optional<NetAddress> source;
    std::string_view fault = {}; // Malformed: a literal
};

// A header is not longer; version 1 has a bound of its own, 107.
inline constexpr size_t kMaxProxyHeader = 4096;

// `bytes`: all that have come. Malformed is told as soon as it is seen, and no further bytes change
// Whole or Malformed.
//
// The extensions of version 2 (TLVs) must fit into it and are not looked at further: a CRC32c among
// them is not checked, as TCP has checked the bytes.
ProxyHeader read_proxy_header(std::string_view bytes);

} // namespace fanhorn::http
