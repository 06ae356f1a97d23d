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
                                     size_t most) {
    std::string name = joined(user, channel);
    const auto found = markers_.find(std::string_view(name));
    const bool is_known = found != markers_.end();
    if (is_known && (*found)->seq >= seq)
        return {.seq = (*found)->seq};
    Moved moved = {.seq = seq, .has_moved = true};
    if (!is_known)
        moved.has_forgotten = make_room(most);
    Marker& marker = is_known ? **found : make(std::move(name));
    marker.seq = seq;
    marker.moved.unlink();
    by_age_.push_back(marker);
    return moved;
}

ReadMarkers::Marker& ReadMarkers::make(std::string&& name) {
    auto made = std::make_unique<Marker>();
    made->name = std::move(name);
    return **markers_.insert(std::move(made)).first;
}

// Two at a time at most: after a reload there may be many more than `most`.
bool ReadMarkers::make_room(size_t most) {
    bool has_forgotten = false;
    for (int i = 0; i < 2 && markers_.size() >= most && !by_age_.empty(); ++i) {
        markers_.erase(markers_.find(by_age_.front()->key()));
        has_forgotten = true;
    }
    return has_forgotten;
}

std::optional<uint64_t> ReadMarkers::find(std::string_view user, std::string_view channel) const {
    const auto found = markers_.find(std::string_view(joined(user, channel)));
    if (found == markers_.end())
        return std::nullopt;
    return (*found)->seq;
}

} // namespace fanhorn
