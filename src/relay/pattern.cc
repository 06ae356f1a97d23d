// SPDX-License-Identifier: Apache-2.0
#include "relay/pattern.h"

#include "base/text.h"
#include "base/utf8.h"

#include <algorithm>
#include <tuple>

namespace fanhorn {

namespace {

constexpr size_t kMaxNameBytes = 255;

// A length, in UTF-8, without control characters and ',': what names and patterns share.
bool is_plain(std::string_view text) {
    // Most are ASCII, and told in one pass.
    const auto is_usual = [](char c) { return c >= ' ' && c < 0x7f && c != ','; };
    const bool is_right = std::all_of(text.begin(), text.end(), is_usual) ||
                          (text.find(',') == text.npos && is_utf8(text) && !has_control(text));
    return is_right && !text.empty() && text.size() <= kMaxNameBytes;
}

size_t segment_length(std::string_view text) {
    return std::min(text.find_first_of(".:/"), text.size());
}

bool is_capture_name(std::string_view name) {
    auto is_word = [](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || c == '_';
    };
    return !name.empty() && std::all_of(name.begin(), name.end(), is_word);
}

} // namespace

bool is_channel_name(std::string_view name) {
    return is_plain(name) && name.find('*') == std::string_view::npos;
}

Result<Pattern> Pattern::parse(std::string_view text) {
    if (!is_plain(text))
        return Error{"a pattern is 1 to 255 bytes of UTF-8 without control characters and ','"};
    Pattern pattern;
    pattern.text_ = text;
    for (bool more = true; more;) {
        size_t length = segment_length(text);
        more = length < text.size();
        auto segment = parse_segment(text.substr(0, length), more ? text[length] : '\0');
        if (!segment)
            return Error{segment.error()};
        if (segment->kind == Segment::Kind::Rest && more)
            return Error{"'**' can only be the last segment"};
        if (pattern.captures(segment->text) && segment->kind == Segment::Kind::One)
            return Error{"{" + segment->text + "} stands twice in it"};
        pattern.segments_.push_back(std::move(*segment));
        text.remove_prefix(more ? length + 1 : length);
    }
    return pattern;
}

Result<Pattern::Segment> Pattern::parse_segment(std::string_view text, char end) {
    using Kind = Segment::Kind;
    if (text == "*")
        return Segment{Kind::One, "", end};
    if (text == "**")
        return Segment{Kind::Rest, "", end};
    if (text.size() > 2 && text.front() == '{' && text.back() == '}' &&
        is_capture_name(text.substr(1, text.size() - 2)))
        return Segment{Kind::One, std::string(text.substr(1, text.size() - 2)), end};
    if (text.find_first_of("*{}") != std::string_view::npos)
        return Error{
            "'" + std::string(text) +
            "' is not a segment: '*', '**' and '{name}' stand alone between '.', ':' and '/'"};
    return Segment{Kind::Literal, std::string(text), end};
}

bool Pattern::captures(std::string_view capture) const {
    return !capture.empty() &&
           std::any_of(segments_.begin(), segments_.end(), [&](const Segment& s) {
               return s.kind == Segment::Kind::One && s.text == capture;
           });
}

bool Pattern::matches(std::string_view name) const {
    for (const Segment& segment : segments_) {
        if (segment.kind == Segment::Kind::Rest)
            return !name.empty();
        size_t length = segment_length(name);
        char end = length < name.size() ? name[length] : '\0';
        bool fits = segment.kind == Segment::Kind::One ? length > 0
                                                       : name.substr(0, length) == segment.text;
        if (!fits || end != segment.end)
            return false;
        name.remove_prefix(end != '\0' ? length + 1 : length);
    }
    return name.empty();
}

std::optional<std::string_view> Pattern::capture(std::string_view capture,
                                                 std::string_view name) const {
    for (const Segment& segment : segments_) {
        const size_t length = segment_length(name);
        if (segment.kind == Segment::Kind::One && segment.text == capture)
            return name.substr(0, length);
        name.remove_prefix(std::min(length + 1, name.size()));
    }
    return std::nullopt;
}

// Both are of a kind that ends where the segment does.
bool Pattern::contains(const Segment& segment, const Segment& other) {
    using Kind = Segment::Kind;
    if (segment.end != other.end || other.kind == Kind::Rest)
        return false;
    if (segment.kind == Kind::One)
        return other.kind == Kind::One || !other.text.empty();
    return other.kind == Kind::Literal && segment.text == other.text;
}

bool Pattern::contains(const Pattern& other) const {
    for (size_t i = 0; i < segments_.size(); ++i) {
        if (i == other.segments_.size())
            return false;
        const Segment& theirs = other.segments_[i];
        if (segments_[i].kind == Segment::Kind::Rest) // what they still match is a byte or more
            return theirs.kind != Segment::Kind::Literal || !theirs.text.empty() ||
                   theirs.end != '\0';
        if (!contains(segments_[i], theirs))
            return false;
    }
    return segments_.size() == other.segments_.size();
}

std::string_view Pattern::literal() const {
    size_t length = 0;
    for (const Segment& segment : segments_) {
        if (segment.kind != Segment::Kind::Literal)
            break;
        length += segment.text.size() + (segment.end != '\0' ? 1 : 0);
    }
    return std::string_view(text_).substr(0, length);
}

// A total order: where two patterns match one name, their literals are equal up to the first
// segment that differs in kind, so comparing text and ends before that never decides for those.
std::strong_ordering Pattern::specificity(const Pattern& other) const {
    auto rank = [](const Segment& s) {
        bool literal = s.kind == Segment::Kind::Literal;
        return std::tuple(s.kind, literal ? std::string_view(s.text) : std::string_view(), s.end);
    };
    return std::lexicographical_compare_three_way(
        segments_.begin(), segments_.end(), other.segments_.begin(), other.segments_.end(),
        [&](const Segment& a, const Segment& b) { return rank(a) <=> rank(b); });
}

} // namespace fanhorn
