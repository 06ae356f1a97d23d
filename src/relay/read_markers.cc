// SPDX-License-Identifier: Apache-2.0
#include "relay/read_markers.h"

namespace fanhorn {

namespace {

// No user's name has a comma.
std::string joined(std::string_view user, std::string_view channel) {
    std::string name;
    name.reserve(user.size() + 1 + channel.size());
    return name.append(user).append(",").append(channel);
}

} // namespace

ReadMarkers::Moved ReadMarkers::move(std::string_view user, std::string_view channel, uint64_t seq,
                                     const Room& room) {
    std::string name = joined(user, channel);
    const auto found = markers_.find(std::string_view(name));
    Marker* marker = found == markers_.end() ? nullptr : found->get();
    if (marker && marker->seq >= seq)
        return {.seq = marker->seq};
    Moved moved = {.seq = seq, .has_moved = true};
    if (!marker) {
        User& owner = find_or_make(user);
        marker = &make(owner, std::move(name));
        make_room(owner, room, moved);
    }
    marker->seq = seq;
    skip_in_copy(*marker);
    marker->moved.unlink();
    marker->moved_of_user.unlink();
    by_age_.push_back(*marker);
    marker->user->by_age.push_back(*marker);
    return moved;
}

ReadMarkers::User& ReadMarkers::find_or_make(std::string_view user) {
    const auto found = users_.find(user);
    if (found != users_.end())
        return **found;
    auto made = std::make_unique<User>();
    made->name = user;
    return **users_.insert(std::move(made)).first;
}

// On no list yet.
ReadMarkers::Marker& ReadMarkers::make(User& user, std::string&& name) {
    auto made = std::make_unique<Marker>();
    made->name = std::move(name);
    made->user = &user;
    ++user.count;
    return **markers_.insert(std::move(made)).first;
}

void ReadMarkers::skip_in_copy(const Marker& marker) {
    if (copied_next_ == &marker)
        copied_next_ = by_age_.next(*copied_next_);
}

void ReadMarkers::forget(Marker& marker) {
    skip_in_copy(marker);
    User& user = *marker.user;
    markers_.erase(markers_.find(marker.key()));
    if (--user.count == 0)
        users_.erase(users_.find(user.key()));
}

// For one that is not on the lists. Two of each at most: after a reload there may be many more.
void ReadMarkers::make_room(User& user, const Room& room, Moved& moved) {
    for (int i = 0; i < 2 && user.count > room.user && !user.by_age.empty(); ++i) {
        forget(*user.by_age.front());
        moved.has_forgotten_own = true;
    }
    for (int i = 0; i < 2 && markers_.size() > room.all && !by_age_.empty(); ++i) {
        forget(*by_age_.front());
        moved.has_forgotten = true;
    }
}

std::optional<uint64_t> ReadMarkers::find(std::string_view user, std::string_view channel) const {
    const auto found = markers_.find(std::string_view(joined(user, channel)));
    if (found == markers_.end())
        return std::nullopt;
    return (*found)->seq;
}

} // namespace fanhorn
