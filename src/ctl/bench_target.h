// SPDX-License-Identifier: Apache-2.0
// Where a benchmark's requests go.
#pragma once

#include "base/result.h"
#include "http/url.h"

#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace fanhorn::ctl::load {

struct Target {
    http::Url url;
    // The path and query; a channel's name stands between the two where `names_channel`.
    std::string before, after;
    bool names_channel = false;
    sockaddr_storage address{};
    socklen_t address_size = 0;

    uint16_t port() const;
    // IPv4's 127.0.0.0/8: there, any of its addresses can be a client's.
    bool is_loopback() const;
    // "prefix7" for channel 7.
    void append_path(std::string& out, std::string_view prefix, uint64_t channel) const;
};

// http://HOST[:PORT]/PATH, or the same with ws:.
Result<Target> read_target(std::string_view text);

} // namespace fanhorn::ctl::load
