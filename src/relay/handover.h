// SPDX-License-Identifier: Apache-2.0
// What a subscriber is, for another process to go on with: the subscriptions that would bring it to
// where it is, and the bytes that its client has not got before that.
#pragma once

#include "relay/message.h"

#include <string>
#include <vector>

namespace fanhorn {

// Channels that are asked for together, from behind one position.
struct HandedPart {
    std::vector<std::string> channels; // and wildcards, of a session
    std::string filter;                // its text; "": everything
    Position position;
    bool is_patched = false;   // as Session::Step has it
    bool is_caught_up = false; // of a session: its client has been told so
    bool is_behind =
        false; // by its own fault: it may be conflated for, and what it misses is an overflow
};

struct HandedSubscriber {
    std::vector<HandedPart> parts; // one, unless it is a session
    std::string unsent;            // goes first
    Position told;                 // its own position, behind that
    bool owes_position = false;    // a gap was told, and nothing with an id since
};

} // namespace fanhorn
