// SPDX-License-Identifier: Apache-2.0
// Channel names and the patterns that sections, claims and wildcard subscriptions match them with.
#pragma once

#include "base/result.h"

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// 1-255 bytes of UTF-8, no control characters (C0, DEL, C1), no ',' and no '*'. A name that begins
// with '$' is well formed but reserved.
bool is_channel_name(std::string_view name);
inline bool is_reserved(std::string_view name) {
    return name.starts_with('$');
}
// Whether a subscription's channel is a pattern: no name has a '*'.
inline bool is_wildcard(std::string_view channel) {
    return channel.find('*') != channel.npos;
}

// Segments end at '.', ':' or '/'. '*' is one segment that is not empty, '{name}' the same by
// name, '**' the rest (last only, at least one byte). A literal has no '*', '{' and '}'.
class Pattern {
  public:
    struct Segment {
        enum class Kind : unsigned char { Literal, One, Rest };
        Kind kind;
        std::string text; // Literal: the text; One: the name in {name} or ""
        char end;         // the separator that ends it, or 0
    };

    static Result<Pattern> parse(std::string_view text);

    bool matches(std::string_view name) const;
    // Whether it has that {name}, and what stands there in a name that it matches.
    bool captures(std::string_view capture) const;
    std::optional<std::string_view> capture(std::string_view capture, std::string_view name) const;
    // Whether it matches every name that the other one does.
    bool contains(const Pattern& other) const;
    const std::string& text() const { return text_; }
    const std::vector<Segment>& segments() const { return segments_; }
    // What all the names it matches begin with: up to its first '*' or '{name}'.
    std::string_view literal() const;

    // Orders patterns from most to least specific: compared left to right, a literal before '*'
    // and '{name}' before '**'. Equal means that both match the same names.
    std::strong_ordering specificity(const Pattern& other) const;

  private:
    static Result<Segment> parse_segment(std::string_view text, char end);
    static bool contains(const Segment& segment, const Segment& other);

    std::string text_;
    std::vector<Segment> segments_;
};

} // namespace fanhorn
