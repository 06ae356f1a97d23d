// SPDX-License-Identifier: Apache-2.0
// The sessions whose commands come by POST, of all workers.
#pragma once

#include "relay/message.h"

#include <map>
#include <mutex>

namespace fanhorn {

class Connection;
class Worker;

// Any thread. A connection is looked at on its own worker only, which adds and removes it.
class PostedSessions {
  public:
    struct Place {
        Worker* worker = nullptr; // null: there is none of that id
        Connection* connection = nullptr;
    };

    void add(const ConnectionId& id, Worker& worker, Connection& connection) {
        std::lock_guard lock(mutex_);
        places_[id] = {&worker, &connection};
    }
    void remove(const ConnectionId& id) {
        std::lock_guard lock(mutex_);
        places_.erase(id);
    }
    Place find(const ConnectionId& id) const {
        std::lock_guard lock(mutex_);
        const auto found = places_.find(id);
        return found == places_.end() ? Place{} : found->second;
    }

  private:
    mutable std::mutex mutex_;
    std::map<ConnectionId, Place> places_;
};

} // namespace fanhorn
