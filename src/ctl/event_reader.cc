// SPDX-License-Identifier: Apache-2.0
#include "ctl/event_reader.h"

#include "base/text.h"

#include <algorithm>

namespace fanhorn::ctl {

bool EventReader::feed(std::string_view bytes, const OnEvent& on_event) {
    while (!bytes.empty()) {
        if (was_cr_ && bytes[0] == '\n')
            bytes.remove_prefix(1);
        was_cr_ = false;
        const size_t end = bytes.find_first_of("\r\n");
        line_ += bytes.substr(0, end);
        if (is_too_large())
            return false;
        if (end == bytes.npos)
            return true;
        was_cr_ = bytes[end] == '\r';
        bytes.remove_prefix(end + 1);
        if (!at_line(on_event))
            return false;
    }
    return true;
}

void EventReader::reset() {
    *this = EventReader{.last_id = last_id_, .retry_ms = retry_ms_};
}

bool EventReader::at_line(const OnEvent& on_event) {
    if (is_first_line_ && line_.starts_with("\xEF\xBB\xBF"))
        line_.erase(0, 3);
    is_first_line_ = false;
    if (line_.empty())
        return dispatch(on_event);
    take_field();
    line_.clear();
    return true;
}

// The id counts from here on, not from its line: an event that is cut off has to come again.
bool EventReader::dispatch(const OnEvent& on_event) {
    last_id_ = id_;
    const std::string event = std::exchange(event_, {});
    std::string data = std::exchange(data_, {});
    if (data.empty())
        return true;
    data.pop_back(); // the last line's end
    return on_event(event, data);
}

void EventReader::take_field() {
    std::string_view value = line_;
    const std::string_view name = take_until(value, ':');
    if (value.starts_with(' '))
        value.remove_prefix(1);
    if (name == "data")
        data_.append(value).append("\n");
    else if (name == "event")
        event_ = value;
    else if (name == "id" && value.find('\0') == value.npos)
        id_ = value;
    else if (name == "retry" && parse_u64(value))
        retry_ms_ = parse_u64(value);
}

} // namespace fanhorn::ctl
