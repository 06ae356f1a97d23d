// SPDX-License-Identifier: Apache-2.0
// A blocking HTTP client for one daemon: requests, and bodies sent and read as they come.
#pragma once

#include "base/result.h"
#include "ctl/url.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fanhorn::ctl {

// A body that is still being made from what a descriptor gives.
struct Input {
    int fd = -1;
    // The part of the body that these bytes end; "" is the end of the input.
    std::function<std::string(std::string_view bytes)> convert;
    bool is_over = false; // set once the descriptor has ended
};

struct Request {
    std::string method = "GET";
    std::string target;     // path and query, encoded
    std::string headers;    // further lines, each with its CRLF
    std::string body;       // the whole of it, or its beginning
    Input* input = nullptr; // what follows, in chunks; borrowed
};

struct Response {
    int status = 0;
    std::string body;
    uint64_t retry_after_s = 0; // 0: not said
    bool is_whole = true;       // false: `on_body` had enough

    bool ok() const { return status >= 200 && status < 300; }
};

// One connection, one answer of at most kMaxAnswerBytes. 5 s to connect, 30 s between bytes.
inline constexpr size_t kMaxAnswerBytes = 64 << 20;
Result<Response> ask(const Url& url, const Request& request);

// `on_body` is given each piece of a 200's body, and ends the reading by returning false; another
// answer's body is in the Response. `silence_s` is the longest time between bytes. A request's
// input that gives nothing for kInputIdleMs ends the request: the daemon bounds the time between
// two lines. While it sends, the answer is read: neither waits for the other.
inline constexpr int kInputIdleMs = 2000;
Result<Response> follow(const Url& url, const Request& request, int silence_s,
                        const std::function<bool(std::string_view)>& on_body);

// "404 channel_unknown: detail" of a problem's body, or the status alone.
std::string problem_text(const Response& response);

} // namespace fanhorn::ctl
