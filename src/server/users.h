// SPDX-License-Identifier: Apache-2.0
// The connections of this worker's users, by their names.
#pragma once

#include "base/hash.h"
#include "base/named_set.h"
#include "relay/observer.h"
#include "server/standing.h"

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace fanhorn {

// The implicit channel of a user, on which what is sent to him goes.
std::string user_channel(std::string_view user);
// Whose it is; "" for any other channel.
std::string_view user_of_channel(std::string_view channel);

// How many subscribed connections each user has, and channels in them, on all workers. Any thread.
class UserCounts {
  public:
    struct Count {
        uint32_t connections = 0;
        uint64_t channels = 0; // each as often as there are connections that have it
    };
    // A connection with so many channels; removed with as many as it then has.
    void add(std::string_view user, uint32_t channels);
    void remove(std::string_view user, uint32_t channels);
    // One of his connections has so many, and had `before`.
    void change(std::string_view user, uint32_t before, uint32_t channels);
    Count of(std::string_view user) const;
    size_t size() const; // users

  private:
    struct AsItIs {
        size_t operator()(uint64_t key) const { return key; }
    };
    mutable std::mutex mutex_;
    std::unordered_map<uint64_t, Count, AsItIs> counts_; // by the keyed hash of the name
};

// One a worker. A Standing leaves by itself when it dies.
class Users {
  public:
    // `observer` may be null.
    explicit Users(UserCounts& everywhere, Observer* observer = nullptr)
        : everywhere_(everywhere), observer_(observer) {}

    // Of the user that its tokens name, with its channels; nothing when they name none, or it is
    // here already.
    void add(Standing& standing, Millis now);
    void remove(Standing& standing);
    // It is here, and has so many now.
    void set_channels(Standing& standing, size_t channels);
    // Calls end(Connection&) for each of his that is here since then, or longer. How many there
    // were.
    template <typename End> size_t each(std::string_view user, Millis since, End end) {
        const auto found = users_.find(user);
        if (found == users_.end())
            return 0;
        std::vector<Connection*> connections;
        for (Standing* each = (*found)->standings.front(); each;
             each = (*found)->standings.next(*each))
            if (each->since <= since)
                connections.push_back(&each->connection);
        for (Connection* connection : connections)
            end(*connection);
        return connections.size();
    }
    size_t size() const { return users_.size(); }
    // Whether he has `most` connections, on all workers together; 0: as many as he likes. A worker
    // places one at a time, so that he may come to have more by the number of workers without one.
    bool is_full(std::string_view user, uint32_t most) const {
        return most != 0 && !user.empty() && everywhere_.of(user).connections >= most;
    }
    // The same of `channels` more, all his connections together.
    bool has_room_for(std::string_view user, size_t channels, uint32_t most) const {
        return most == 0 || user.empty() || everywhere_.of(user).channels + channels <= most;
    }

  private:
    struct User {
        std::string name;
        List<Standing, &Standing::of_user> standings;
        std::string_view key() const { return name; }
    };
    UserCounts& everywhere_;
    Observer* const observer_;
    NamedSet<User> users_;
};

} // namespace fanhorn
