// SPDX-License-Identifier: Apache-2.0
#include "ctl/json_text.h"

#include <algorithm>

namespace fanhorn::ctl {

namespace {

std::string_view trim(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n"; // RFC 8259 section 2
    const size_t begin = text.find_first_not_of(kBlanks);
    if (begin == text.npos)
        return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// The size of the string that `text` begins with, quotes and all.
size_t string_size(std::string_view text) {
    size_t at = 1;
    while (at < text.size() && text[at] != '"')
        at += text[at] == '\\' ? 2 : 1;
    return std::min(at + 1, text.size());
}

// Takes what stands before the next `separator` of this level, and the separator, off `rest`.
std::string_view take_part(std::string_view& rest, char separator) {
    size_t depth = 0, at = 0;
    while (at < rest.size() && (depth > 0 || rest[at] != separator)) {
        const char c = rest[at];
        depth += c == '{' || c == '[';
        depth -= depth > 0 && (c == '}' || c == ']');
        at += c == '"' ? string_size(rest.substr(at)) : 1;
    }
    const std::string_view part = rest.substr(0, at);
    rest.remove_prefix(std::min(at + 1, rest.size()));
    return part;
}

} // namespace

std::string_view raw_member(std::string_view object, std::string_view name) {
    object = trim(object);
    if (object.size() < 2 || object[0] != '{')
        return {};
    std::string_view rest = object.substr(1, object.size() - 2);
    while (!rest.empty()) {
        std::string_view value = take_part(rest, ',');
        const std::string_view key = trim(take_part(value, ':'));
        if (key.size() == name.size() + 2 && key.substr(1, name.size()) == name)
            return trim(value);
    }
    return {};
}

} // namespace fanhorn::ctl
