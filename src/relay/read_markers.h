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

// Seqs of one epoch. A marker takes about 130 bytes and its two names. Not thread-safe: belongs to
// its broker.
class ReadMarkers {
  public:
    struct Moved {
        uint64_t seq = 0; // where the marker is now
        bool has_moved = false;
        bool has_forgotten = false; // another one, for want of room
    };
    // Forward only. `most` markers are kept: beyond, the one that moved least recently is
    // forgotten.
    Moved move(std::string_view user, std::string_view channel, uint64_t seq, size_t most);
    std::optional<uint64_t> find(std::string_view user, std::string_view channel) const;
    size_t size() const { return markers_.size(); }

  private:
    struct Marker {
        std::string_view key() const { return name; }
        std::string name;
        uint64_t seq = 0;
        Hook moved;
    };

    Marker& make(std::string&& name);
    bool make_room(size_t most);

    NamedSet<Marker> markers_;
    List<Marker, &Marker::moved> by_age_; // the least recently moved first
};

} // namespace fanhorn
