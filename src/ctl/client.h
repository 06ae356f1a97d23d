// SPDX-License-Identifier: Apache-2.0
// A blocking HTTP client for one daemon: requests, and bodies sent and read as they come.
#pragma once

#include "base/result.h"
#include "ctl/endpoint.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fanhorn::ctl {

// A body that is made from what a descriptor gives, while it is sent.
struct Input {
    int fd = -1;
    // The part of the body that can be made with these bytes, perhaps nothing; they are "" at the
    // end of the input.
    std::function<std::string(std::string_view bytes)> convert;
    bool is_over = false;    // the descriptor gives no more
    bool has_failed = false; // and errno said so, not its end
};

struct Request {
    std::string method = "GET";
    std::string target;     // path and query, encoded
    std::string headers;    // further lines, each with its CRLF
    std::string body;       // all of it, or what comes before `input`
    Input* input = nullptr; // borrowed; the body goes out in chunks
};

struct Response {
    int status = 0;
    std::string body;
    uint64_t retry_after_s = 0; // 0: not said
    bool ok() const { return status >= 200 && status < 300; }
};

// The largest answer that ask() takes.
inline constexpr size_t kMaxAnswerBytes = 64 << 20;

// One connection, one answer. Time-outs: 5 s to connect, 30 s between bytes.
Result<Response> ask(const Endpoint& daemon, const Request& request);

// The same for an answer without an end: `on_body` is given each piece of it, and ends the reading
// by returning false. Silence of more than `silence_s` is an error. Another status than 200 comes
// with the body, or its first 64 KiB. The answer is read while the request is sent: neither waits
// for the other. An input that gives nothing for kInputIdleMs ends the body, before the daemon
// calls it late.
inline constexpr int kInputIdleMs = 2000;
Result<Response> follow(const Endpoint& daemon, const Request& request, int silence_s,
                        const std::function<bool(std::string_view)>& on_body);

// "404 channel_unknown: detail" of a problem's body, or the status alone.
std::string problem_text(const Response& response);

} // namespace fanhorn::ctl
