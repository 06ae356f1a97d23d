// SPDX-License-Identifier: Apache-2.0
// What a subscribed connection has besides, when it came with a token or its client may say
// something; and the order in which tokens expire.
#pragma once

#include "base/list.h"
#include "relay/identity.h"
#include "relay/presence.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

class Commands;
class Connection;
class PostedSessions;
class Users;

struct Standing {
    explicit Standing(Connection& owner) : connection(owner) {}
    ~Standing();
    Standing(const Standing&) = delete;
    Standing& operator=(const Standing&) = delete;

    Connection& connection;
    Identities identities;
    std::string publishes_to;           // the channel of a plain WebSocket's messages, or:
    std::shared_ptr<Commands> commands; // of fanhorn.v1
    // Commands that wait while the application is asked about the first one's token.
    struct Parked {
        std::string text;
        std::function<void(std::string_view)> also;
    };
    std::deque<Parked> parked;
    std::shared_ptr<Connection*> asker; // null in there when this has gone
    PostedSessions* posted = nullptr;   // where it is found, when they come by POST
    // Where he is told of, while he is there; not a session's, which knows for each channel.
    std::vector<std::unique_ptr<Attendance>> attendances;
    Hook hook;              // of Expiries
    Hook of_user;           // of Users
    Users* users = nullptr; // once it is there
    std::string user;       // as it is there
    Millis since = 0;       // and since when
    uint32_t channels = 0;  // of the connection, as they are counted there
    Millis expires = 0;     // of wall_millis(); 0: never
};

// One a worker. Not a timer a connection: a list a second, of the next hour; what lies beyond is
// looked at again then, so that no stranger's dates make it larger.
class Expiries {
  public:
    // Anew, where it is on a list already.
    void add(Standing& standing, Millis now) {
        standing.hook.unlink();
        if (standing.expires == 0)
            return;
        const Millis at = std::min(standing.expires, now + kHorizon);
        lists_[(at + kSecond - 1) / kSecond].push_back(standing);
    }

    // Calls expire(Standing&) for each whose time has come: within a second of it.
    template <typename Expire> void run(Millis now, Expire expire) {
        while (!lists_.empty() && lists_.begin()->first * kSecond <= now) {
            auto list = lists_.extract(lists_.begin());
            while (Standing* standing = list.mapped().pop_front()) {
                if (standing->expires <= now)
                    expire(*standing);
                else
                    add(*standing, now);
            }
        }
    }

    size_t list_count() const { return lists_.size(); }

  private:
    static constexpr Millis kSecond = 1000;
    static constexpr Millis kHorizon = 3'600'000;
    std::map<Millis, List<Standing, &Standing::hook>> lists_; // by the second since 1970
};

} // namespace fanhorn
