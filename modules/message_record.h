// SPDX-License-Identifier: Apache-2.0
// A message as a broker behind us keeps it: everything but its channel, position and count.
#pragma once

#include "relay/message.h"

#include <string>
#include <string_view>

namespace fanhorn {

// Any thread. `now` is when the broker took it, by a clock that all who read it share.
std::string encode_record(const Draft& draft, Millis now);
// `behind`: how far this process' clock is behind that one. Null when those bytes are no record:
// they come from outside and may be anything. Names and sizes are checked as those of a publisher
// are.
MessageRef decode_record(std::string_view record, std::string_view channel, Position position,
                         uint64_t n, Millis behind);

} // namespace fanhorn
