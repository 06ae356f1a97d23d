// SPDX-License-Identifier: Apache-2.0
#include "ctl/event_reader.h"

#include "base/text.h"
#include "http/grammar.h"

#include <algorithm>

namespace fanhorn::ctl {

bool EventReader::feed(std::string_view bytes, std::vector<Event>& events) {
    while (!bytes.empty()) {
        const bool is_ended = bytes.find('\n') != bytes.npos;
        const std::string_view piece = take_until(bytes, '\n');
        if (line_.size() + event_.data.size() + piece.size() > max_bytes_)
            return false;
        line_ += piece;
        if (is_ended)
            end_line(events);
    }
    return true;
}

void EventReader::reset() {
    line_.clear();
    event_ = {};
    has_data_ = false;
    id_ = last_id_;
}

void EventReader::end_line(std::vector<Event>& events) {
    std::string_view value = line_;
    if (value.ends_with('\r'))
        value.remove_suffix(1);
    if (value.empty())
        return end_block(events);
    const std::string_view name = take_until(value, ':'); // "" for a comment
    if (value.starts_with(' '))
        value.remove_prefix(1);
    if (name == "id" && http::is_field_value(value)) // it goes into Last-Event-ID
        id_ = value;
    else if (name == "event")
        event_.type = value;
    else if (name == "data") {
        event_.data.append(has_data_ ? "\n" : "").append(value);
        has_data_ = true;
    } else if (name == "retry")
        if (const auto ms = parse_u64(value))
            retry_ms_ = static_cast<uint32_t>(std::min<uint64_t>(*ms, kMaxRetryMs));
    line_.clear();
}

void EventReader::end_block(std::vector<Event>& events) {
    last_id_ = id_;
    if (!event_.data.empty())
        events.push_back(std::move(event_));
    event_ = {};
    has_data_ = false;
    line_.clear();
}

} // namespace fanhorn::ctl
