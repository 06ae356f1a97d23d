// SPDX-License-Identifier: Apache-2.0
// The connections of this worker's users, by their names.
#pragma once

#include "base/named_set.h"
#include "server/standing.h"

#include <string>
#include <string_view>

namespace fanhorn {

// The implicit channel of a user, on which what is sent to him goes.
std::string user_channel(std::string_view user);

// One a worker. A Standing leaves by itself when it dies.
class Users {
  public:
    // Of the user that its tokens name; nothing when they name none, or it is here already.
    void add(Standing& standing);
    void remove(Standing& standing);
    // Calls end(Connection&) for each of his. How many there were.
    template <typename End> size_t each(std::string_view user, End end) {
        const auto found = users_.find(user);
        if (found == users_.end())
            return 0;
        std::vector<Connection*> connections;
        for (Standing* each = (*found)->standings.front(); each;
             each = (*found)->standings.next(*each))
            connections.push_back(&each->connection);
        for (Connection* connection : connections)
            end(*connection);
        return connections.size();
    }
    size_t size() const { return users_.size(); }

  private:
    struct User {
        std::string name;
        List<Standing, &Standing::of_user> standings;
        std::string_view key() const { return name; }
    };
    NamedSet<User> users_;
};

} // namespace fanhorn
