// SPDX-License-Identifier: Apache-2.0
#include "ctl/event_reader.h"

#include "base/text.h"
#include "http/grammar.h"

#include <algorithm>
#include <utility>

namespace fanhorn::ctl {

bool EventReader::feed(std::string_view bytes, std::vector<Event>& events) {
    while (!bytes.empty()) {
        if (std::exchange(is_after_cr_, false) && bytes[0] == '\n') {
            bytes.remove_prefix(1);
            continue;
        }
        const size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
        if (line_.size() + event_.data.size() + end > max_bytes_)
            return false;
        line_ += bytes.substr(0, end);
        if (end < bytes.size()) {
            is_after_cr_ = bytes[end] == '\r';
            end_line(events);
        }
        bytes.remove_prefix(std::min(end + 1, bytes.size()));
    }
    return true;
}

void EventReader::reset() {
    line_.clear();
    event_ = {};
    has_data_ = is_after_cr_ = false;
    is_first_line_ = true;
    id_ = last_id_;
}

void EventReader::end_line(std::vector<Event>& events) {
    std::string_view value = line_;
    if (std::exchange(is_first_line_, false) && value.starts_with("\xef\xbb\xbf"))
        value.remove_prefix(3);
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
    if (has_data_)
        events.push_back(std::move(event_));
    event_ = {};
    has_data_ = false;
    line_.clear();
}

} // namespace fanhorn::ctl
