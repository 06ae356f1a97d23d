// SPDX-License-Identifier: Apache-2.0
// A browser's side of text/event-stream, step for step after WHATWG HTML section 9.2.6, on bytes
// (decoding UTF-8 is left out, so that every byte can be compared). For tests and fuzzers.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct SseEvent {
    std::string id; // the last event id at that moment
    std::string event;
    std::string data;
    bool operator==(const SseEvent&) const = default;
};

class SseParser {
  public:
    // A whole stream. What an unfinished line or event at its end holds is dropped, as 9.2.6 says.
    explicit SseParser(std::string_view stream) {
        constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
        if (stream.starts_with(kByteOrderMark))
            stream.remove_prefix(kByteOrderMark.size());
        while (true) {
            const size_t end = stream.find_first_of("\r\n");
            if (end == stream.npos)
                break;
            line(stream.substr(0, end));
            stream.remove_prefix(end + (stream.substr(end).starts_with("\r\n") ? 2 : 1));
        }
        is_whole = stream.empty() && data_.empty() && type_.empty();
    }

    std::vector<SseEvent> events;
    std::vector<std::string> comments;
    std::string last_event_id;
    std::string retry;
    bool is_whole = false;          // the stream ended after an empty line
    bool has_unknown_field = false; // a browser ignores it; we write none

  private:
    void line(std::string_view text) {
        if (text.empty())
            return dispatch();
        const size_t colon = text.find(':');
        if (colon == 0) {
            comments.emplace_back(text.substr(1));
            return;
        }
        const std::string_view name = text.substr(0, colon);
        std::string_view value = colon == text.npos ? "" : text.substr(colon + 1);
        if (value.starts_with(' '))
            value.remove_prefix(1);
        field(name, value);
    }

    void field(std::string_view name, std::string_view value) {
        const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
        if (name == "event")
            type_ = value;
        else if (name == "data")
            data_.append(value).push_back('\n');
        else if (name == "id" && value.find('\0') == value.npos)
            last_event_id = value;
        else if (name == "retry" && std::all_of(value.begin(), value.end(), is_digit))
            retry = value;
        else
            has_unknown_field = true;
    }

    void dispatch() {
        if (!data_.empty()) {
            data_.pop_back();
            events.push_back({last_event_id, type_.empty() ? "message" : type_, data_});
        }
        data_.clear();
        type_.clear();
    }

    std::string data_, type_;
};

// What a payload becomes on its way through SSE: each CR, LF and CRLF is one LF.
inline std::string with_line_feeds(std::string_view payload) {
    std::string out;
    for (size_t i = 0; i < payload.size(); ++i) {
        const bool is_pair = payload[i] == '\r' && i + 1 < payload.size() && payload[i + 1] == '\n';
        if (!is_pair)
            out.push_back(payload[i] == '\r' ? '\n' : payload[i]);
    }
    return out;
}

} // namespace fanhorn
