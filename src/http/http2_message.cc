// SPDX-License-Identifier: Apache-2.0
#include "http/http2_message.h"

#include "base/check.h"
#include "base/text.h"

#include <algorithm>
#include <array>

namespace fanhorn::http {

namespace {

// A key is asked of every WebSocket over HTTP/1.1, and none over HTTP/2: the answer to this one is
// not sent on.
constexpr std::string_view kWebsocketKey = "AAAAAAAAAAAAAAAAAAAAAA==";
constexpr size_t kFieldOverhead = 4; // ": " and CRLF

bool is_of_connection(std::string_view name) {
    static constexpr std::array<std::string_view, 5> kNames = {
        "connection", "upgrade", "keep-alive", "transfer-encoding", "sec-websocket-accept"};
    return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

} // namespace

void RequestText::add_pseudo(std::string_view name, std::string_view value) {
    if (name == ":method")
        method_ = value;
    else if (name == ":path")
        path_ = value;
    else if (name == ":authority")
        authority_ = value;
    else if (name == ":protocol")
        protocol_ = value;
}

void RequestText::add(std::string_view name, std::string_view value) {
    size_ += name.size() + value.size() + kFieldOverhead;
    if (name.starts_with(':'))
        return add_pseudo(name, value.substr(0, limit_));
    if (size_ > limit_)
        return;
    if (name == "cookie") { // in pieces, for the sake of compression (RFC 9113 section 8.2.3)
        cookies_.append(cookies_.empty() ? "" : "; ").append(value);
        return;
    }
    // What a gateway adds itself, or has from the authority already.
    if (name == "sec-websocket-key" || (name == "host" && value == authority_))
        return;
    has_length_ = has_length_ || name == "content-length";
    append_line(fields_, name, value);
}

std::string RequestText::finish(bool has_body) {
    is_chunked_ = has_body && !has_length_ && !is_websocket();
    std::string text = is_websocket() ? "GET" : method_;
    text.append(" ").append(path_.empty() ? authority_ : path_).append(" HTTP/1.1\r\n");
    if (!authority_.empty())
        append_line(text, "host", authority_);
    if (is_websocket()) {
        append_line(text, "connection", "Upgrade");
        append_line(text, "upgrade", "websocket");
        append_line(text, "sec-websocket-key", kWebsocketKey);
    } else {
        append_line(text, "connection", "close");
    }
    if (is_chunked_)
        append_line(text, "transfer-encoding", "chunked");
    if (!cookies_.empty())
        append_line(text, "cookie", cookies_);
    text += fields_;
    if (size_ > limit_) // too large with whatever went before
        append_line(text, "x-rest", std::string(limit_, '-'));
    text += "\r\n";
    return text;
}

std::optional<ResponseHead> read_response_head(std::string_view text) {
    const size_t end = text.find("\r\n\r\n");
    if (end == text.npos)
        return std::nullopt;
    ResponseHead head;
    head.size = end + 4;
    text = text.substr(0, end + 2);
    const auto status = parse_u64(text.substr(9, 3)); // HTTP/1.1 200 OK
    CHECK(status);
    head.status = *status == 101 ? 200 : static_cast<int>(*status);
    text.remove_prefix(text.find("\r\n") + 2);
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find("\r\n"));
        const size_t colon = line.find(": ");
        CHECK(colon != line.npos);
        std::string name(line.substr(0, colon));
        std::transform(name.begin(), name.end(), name.begin(), lower);
        head.is_chunked = head.is_chunked || name == "transfer-encoding";
        if (!is_of_connection(name))
            head.fields.emplace_back(std::move(name), line.substr(colon + 2));
        text.remove_prefix(line.size() + 2);
    }
    return head;
}

void append_chunk(std::string& out, std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    int shift = 60;
    while (shift > 0 && bytes.size() >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        out += kDigits[bytes.size() >> shift & 15];
    out.append("\r\n").append(bytes).append("\r\n");
}

} // namespace fanhorn::http
