// SPDX-License-Identifier: Apache-2.0
// Where a bridge's messages come from.
#pragma once

#include "base/clock.h"
#include "ctl/event_reader.h"

#include <memory>
#include <string>
#include <vector>

namespace fanhorn::ctl {

class Source {
  public:
    virtual ~Source() = default;
    // To be watched for reading; -1 for none.
    virtual int fd() const = 0;
    // Milliseconds until turn() is due though fd() has nothing; -1: never.
    virtual int due_in_ms(Millis now) const = 0;
    // The next turn() makes a connection and blocks for it.
    virtual bool will_block() const { return false; }
    // Reads once, about 16 KiB; appends what became whole.
    virtual void turn(Millis now, std::vector<Event>& events) = 0;
    // Nothing more comes; failure() says why where that is an error.
    virtual bool is_over() const = 0;
    virtual const std::string& failure() const = 0;
};

// The longest message of an upstream; a longer one ends the bridge.
inline constexpr size_t kMaxUpstreamBytes = 16 << 20;

} // namespace fanhorn::ctl
