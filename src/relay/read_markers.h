// SPDX-License-Identifier: Apache-2.0
// How far each user has read in each channel.
#pragma once

#include "base/list.h"
#include "base/named_set.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fanhorn {

// Seqs of one epoch. A marker takes about 160 bytes and its two names, a user about 150 and his.
// Not thread-safe: belongs to its broker.
class ReadMarkers {
  public:
    struct Moved {
        uint64_t seq = 0; // where the marker is now
        bool has_moved = false;
        bool has_forgotten = false;     // another one, for want of room
        bool has_forgotten_own = false; // of the user's, who has as many as he may
    };
    // How many are kept: beyond, the one that moved least recently is forgotten, of all or of the
    // user's.
    struct Room {
        size_t all = SIZE_MAX, user = SIZE_MAX;
    };
    // Forward only.
    Moved move(std::string_view user, std::string_view channel, uint64_t seq, const Room& room);
    std::optional<uint64_t> find(std::string_view user, std::string_view channel) const;
    size_t size() const { return markers_.size(); }

    // For who writes all of them down, some at a time, and whatever moves meanwhile as well: after
    // begin_copy(), each copy() calls see(user, channel, seq) for at most `count` of those that
    // have not moved since, and returns whether there may be more.
    void begin_copy() {
        copied_next_ = by_age_.front();
        to_copy_ = size();
    }
    template <typename See> bool copy(size_t count, See see) {
        for (; count > 0 && to_copy_ > 0 && copied_next_; --count, --to_copy_) {
            const Marker& marker = *copied_next_;
            const std::string_view name = marker.name;
            see(name.substr(0, marker.user->name.size()), name.substr(marker.user->name.size() + 1),
                marker.seq);
            copied_next_ = by_age_.next(*copied_next_);
        }
        return to_copy_ > 0 && copied_next_;
    }

  private:
    struct User;
    struct Marker {
        std::string_view key() const { return name; }
        std::string name;
        uint64_t seq = 0;
        User* user = nullptr;
        Hook moved, moved_of_user;
    };
    using OfUser = List<Marker, &Marker::moved_of_user>;
    struct User {
        std::string_view key() const { return name; }
        std::string name;
        OfUser by_age;
        size_t count = 0;
    };

    Marker& make(User& user, std::string&& name);
    User& find_or_make(std::string_view user);
    void forget(Marker& marker);
    void skip_in_copy(const Marker& marker);
    void make_room(User& user, const Room& room, Moved& moved);

    NamedSet<User> users_;
    NamedSet<Marker> markers_;
    List<Marker, &Marker::moved> by_age_; // the least recently moved first
    Marker* copied_next_ = nullptr;
    size_t to_copy_ = 0;
};

} // namespace fanhorn
