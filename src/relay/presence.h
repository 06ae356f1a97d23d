// SPDX-License-Identifier: Apache-2.0
// Who is on which channel.
#pragma once

#include "base/clock.h"
#include "base/named_set.h"
#include "relay/message.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct Attendee {
    std::string user;
    std::string info;         // JSON; "" for none
    uint32_t connections = 0; // 0: gone, but for the grace time
};

// {"user","info"}, as a join tells it, and with "connections", as a list does.
std::string attendee_json(const Attendee& attendee, bool with_connections);
// {"users":[…],"count"}
std::string attendance_json(const std::vector<Attendee>& users);

// A user counts once, however many connections he has; one who comes back within the grace time
// has neither left nor joined. Not thread-safe: belongs to its broker.
class PresenceBook {
  public:
    enum class Entry : uint8_t { Joined, Known, Renewed, Full };
    // One connection more. Renewed: with another info. `most` users of a channel are kept; Full:
    // this one is not.
    Entry enter(const std::string& channel, const std::string& user, const std::string& info,
                uint32_t most);
    // One fewer; without any, the user leaves `grace` later.
    void leave(std::string_view channel, std::string_view user, Millis now, Millis grace);
    // By their names.
    std::vector<Attendee> users(std::string_view channel) const;

    std::optional<Attendee> look(std::string_view channel, std::string_view user) const;

    struct Left {
        std::string channel;
        std::string user;
    };
    // On all channels, in no order.
    std::vector<Left> everybody() const;
    // Calls see(channel, attendee, leaves_at) for each, leaves_at 0: he is here.
    template <typename See> void each(See see) const {
        for (const auto& room : rooms_)
            for (const auto& user : room->users)
                see(room->name, *user, user->leaves_at);
    }
    // Those whose grace is over.
    std::vector<Left> expire(Millis now);
    // Those who would leave at `due` leave so long after `now` as grace(channel) says.
    template <typename Grace> void hurry(Millis due, Millis now, Grace grace) {
        const auto [first, last] = leaving_.equal_range(due);
        std::vector<Left> all;
        for (auto each = first; each != last; ++each)
            all.push_back(std::move(each->second));
        leaving_.erase(first, last);
        for (Left& each : all)
            if (User* user = find(each.channel, each.user); user && user->leaves_at == due) {
                user->leaves_at = now + grace(each.channel);
                leaving_.emplace(user->leaves_at, std::move(each));
            }
    }
    // How many users there are, on all channels.
    size_t size() const { return size_; }

  private:
    struct User : Attendee {
        std::string_view key() const { return user; }
        Millis leaves_at = 0; // 0: he is here
    };
    struct Room {
        std::string name;
        NamedSet<User> users;
        std::string_view key() const { return name; }
    };

    User* find(std::string_view channel, std::string_view user) const;

    NamedSet<Room> rooms_;
    std::multimap<Millis, Left> leaving_; // some of them came back
    size_t size_ = 0;
};

struct BrokerEnd;

// One connection of a user on a channel, for as long as this lives. On the worker's thread,
// whose end it is.
class Attendance {
  public:
    Attendance(BrokerEnd& end, std::string channel, const Attendee& who,
               const ConnectionId& connection);
    ~Attendance();
    Attendance(const Attendance&) = delete;
    Attendance& operator=(const Attendance&) = delete;

  private:
    BrokerEnd& end_;
    const std::string channel_, user_;
    const bool is_counted_;
};

} // namespace fanhorn
