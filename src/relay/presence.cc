// SPDX-License-Identifier: Apache-2.0
#include "relay/presence.h"

#include "base/text.h"
#include "relay/hub.h"

#include <algorithm>

namespace fanhorn {

std::string attendee_json(const Attendee& attendee, bool with_connections) {
    std::string json = "{\"user\":";
    append_json_string(json, attendee.user);
    if (!attendee.info.empty())
        json.append(",\"info\":").append(attendee.info);
    if (with_connections) {
        json += ",\"connections\":";
        append_number(json, attendee.connections);
    }
    return json + "}";
}

std::string attendance_json(const std::vector<Attendee>& users) {
    std::string json = "{\"users\":[";
    for (size_t i = 0; i < users.size(); ++i)
        json.append(i ? "," : "").append(attendee_json(users[i], true));
    json += "],\"count\":";
    append_number(json, users.size());
    return json + "}";
}

PresenceBook::User* PresenceBook::find(std::string_view channel, std::string_view user) const {
    const auto room = rooms_.find(channel);
    if (room == rooms_.end())
        return nullptr;
    const auto found = (*room)->users.find(user);
    return found == (*room)->users.end() ? nullptr : found->get();
}

PresenceBook::Entry PresenceBook::enter(const std::string& channel, const std::string& user,
                                        const std::string& info, uint32_t most) {
    if (User* known = find(channel, user)) {
        ++known->connections;
        known->leaves_at = 0;
        if (known->info == info)
            return Entry::Known;
        known->info = info;
        return Entry::Renewed;
    }
    auto room = rooms_.find(std::string_view(channel));
    if (room == rooms_.end()) {
        auto made = std::make_unique<Room>();
        made->name = channel;
        room = rooms_.insert(std::move(made)).first;
    }
    if ((*room)->users.size() >= most)
        return Entry::Full;
    auto made = std::make_unique<User>();
    made->user = user;
    made->info = info;
    made->connections = 1;
    (*room)->users.insert(std::move(made));
    ++size_;
    return Entry::Joined;
}

void PresenceBook::leave(std::string_view channel, std::string_view user, Millis now,
                         Millis grace) {
    User* known = find(channel, user);
    if (!known || known->connections == 0 || --known->connections > 0)
        return;
    known->leaves_at = now + grace;
    leaving_.emplace(known->leaves_at, Left{std::string(channel), std::string(user)});
}

std::vector<Attendee> PresenceBook::users(std::string_view channel) const {
    std::vector<Attendee> users;
    const auto room = rooms_.find(channel);
    if (room == rooms_.end())
        return users;
    for (const auto& user : (*room)->users)
        users.push_back(*user);
    std::sort(users.begin(), users.end(),
              [](const Attendee& a, const Attendee& b) { return a.user < b.user; });
    return users;
}

std::optional<Attendee> PresenceBook::look(std::string_view channel, std::string_view user) const {
    const User* known = find(channel, user);
    return known ? std::optional<Attendee>(*known) : std::nullopt;
}

std::vector<PresenceBook::Left> PresenceBook::everybody() const {
    std::vector<Left> all;
    for (const auto& room : rooms_)
        for (const auto& user : room->users)
            all.push_back({room->name, user->user});
    return all;
}

std::vector<PresenceBook::Left> PresenceBook::expire(Millis now) {
    std::vector<Left> left;
    while (!leaving_.empty() && leaving_.begin()->first <= now) {
        Left each = std::move(leaving_.begin()->second);
        const Millis due = leaving_.begin()->first;
        leaving_.erase(leaving_.begin());
        const User* user = find(each.channel, each.user);
        if (!user || user->leaves_at != due) // he came back, and may have gone again
            continue;
        const auto room = rooms_.find(std::string_view(each.channel));
        (*room)->users.erase((*room)->users.find(std::string_view(each.user)));
        if ((*room)->users.empty())
            rooms_.erase(room);
        --size_;
        left.push_back(std::move(each));
    }
    return left;
}

Attendance::Attendance(BrokerEnd& end, std::string channel, const Attendee& who,
                       const ConnectionId& connection)
    : end_(end), channel_(std::move(channel)), user_(who.user),
      is_counted_(end_.broker->attend(channel_, who, connection)) {
    if (Observer* observer = end_.hub->observer(); observer && is_counted_)
        observer->on_attendee(channel_, user_, who.info, true);
}

Attendance::~Attendance() {
    if (!is_counted_)
        return;
    end_.broker->depart(channel_, user_);
    if (Observer* observer = end_.hub->observer())
        observer->on_attendee(channel_, user_, "", false);
}

} // namespace fanhorn
