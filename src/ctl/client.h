// SPDX-License-Identifier: Apache-2.0
// A blocking HTTP client for one daemon: requests, and a stream read as it comes.
#pragma once

#include "base/result.h"
#include "ctl/response_reader.h"

#include <functional>
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

struct Request {
    std::string method = "GET";
    std::string target;  // path and query, encoded
    std::string headers; // further lines, each with its CRLF
    std::string body;
};

struct Response {
    int status = 0;
    std::string body;
    bool ok() const { return status >= 200 && status < 300; }
};

// The largest answer that ask() takes.
inline constexpr size_t kMaxAnswerBytes = 64 << 20;

// One connection, one answer. Time-outs: 5 s to connect, 30 s between bytes.
Result<Response> ask(const Url& url, const Request& request);

// The same for an answer without an end: `on_body` is given each piece of it, and ends the reading
// by returning false. Silence of more than `silence_s` is an error. Another status than 200 comes
// with the body, or its first 64 KiB.
Result<Response> follow(const Url& url, const Request& request, int silence_s,
                        const std::function<bool(std::string_view)>& on_body);

// "404 channel_unknown: detail" of a problem's body, or the status alone.
std::string problem_text(const Response& response);

} // namespace fanhorn::ctl
