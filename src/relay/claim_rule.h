// SPDX-License-Identifier: Apache-2.0
// What a token's claims must say of the channel: `users, claim:rooms contains {room}`.
#pragma once

#include "base/result.h"
#include "relay/pattern.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct Identity;

// Constant; any thread.
struct ClaimRule {
    enum class Kind : uint8_t {
        Equals,   // the claim is that text, or that number as it is written
        Contains, // it is a list that has it, or equals it
    };
    std::string claim;
    Kind kind = Kind::Equals;
    std::string value; // {name} stands for that segment of the channel's name
    Pattern pattern;   // whose segments these are

    // A {name} of the value that the pattern has not; "" when there is none.
    std::string unknown_capture(const Pattern& of) const;
    // Never for reserved channels and wildcards, of which no segment is a name.
    bool holds(const Identity& identity, std::string_view channel) const;
};

// What `subscribe` and `client_publish` say: a word or an [auth] section, and perhaps a rule.
struct AccessText {
    std::string name;
    std::optional<ClaimRule> rule; // without its pattern
};
// The error goes on behind the text.
Result<AccessText> parse_access(std::string_view text);

} // namespace fanhorn
