// SPDX-License-Identifier: Apache-2.0
// A place in a broker's log, and what a reader asks for with `since`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fanhorn {

// <epoch>.<seq>. One scalar for all channels of a broker; positions of different epochs do not
// compare. The epoch is the base-36 value of its text.
struct Position {
    uint64_t epoch = 0;
    uint64_t seq = 0;
    bool operator==(const Position&) const = default;
};

// At most 12 + 1 + 20 bytes; the buffer need not be terminated.
inline constexpr size_t kPositionTextSize = 33;

void append_position(std::string& out, Position position);
std::string position_text(Position position);
// As JSON: its text, or null where the epoch is 0.
void append_position_or_null(std::string& out, Position position);

// Grammar [0-9a-z]{1,12}\.[0-9]{1,20}. A seq beyond 64 bits is the largest one (it is `ahead`).
std::optional<Position> parse_position(std::string_view text);

// An epoch that no other broker has: eight base-36 digits from the system's random source.
uint64_t random_epoch();

// Where a subscription begins.
struct Since {
    enum class Kind : uint8_t {
        Latest,   // only what comes
        Earliest, // all that is kept
        Newest,   // the newest `count` of each channel
        After,    // what came after `position`
    };
    Kind kind = Kind::Latest;
    uint64_t count = 0;
    Position position;
};

// `latest`, `earliest`, `0`, `-N`, or an id; nothing else.
std::optional<Since> parse_since(std::string_view text);

} // namespace fanhorn
