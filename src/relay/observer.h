// SPDX-License-Identifier: Apache-2.0
// Who is told of those that come and go, for the application's sake.
#pragma once

#include "relay/position.h"

#include <string>

namespace fanhorn {

// Any thread, under locks of the callers': it neither waits nor calls back. What comes is told
// again when it goes, once each.
class Observer {
  public:
    virtual ~Observer() = default;

    // A worker has its first subscriber of that channel, or wildcard, or has lost its last.
    virtual void on_channel(const std::string& channel, bool is_here) = 0;
    // The same of a user's connections.
    virtual void on_user(const std::string& user, bool is_here) = 0;
    // A connection of that user on a channel. `info`: JSON, or "".
    virtual void on_attendee(const std::string& channel, const std::string& user,
                             const std::string& info, bool is_here) = 0;
    // A message for that user found no subscriber.
    virtual void on_unheard(const std::string& user, const Position& message) = 0;
};

} // namespace fanhorn
