// SPDX-License-Identifier: Apache-2.0
// Who is here, counted: channels, users, and users on channels.
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "base/named_set.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// Who comes back within the grace time has not gone. The order in which workers count does not
// matter. Not thread-safe.
class Census {
  public:
    enum class Kind : uint8_t { Channel, User, Attendee };
    struct Who {
        Kind kind = Kind::Channel;
        std::string channel; // of Channel and Attendee
        std::string user;    // of User and Attendee
    };

    // One more. Whether it is here for the first time.
    bool come(const Who& who);
    // One fewer; of who is not here, nothing.
    void go(const Who& who, Millis now);
    // Counted, or gone within its grace time.
    bool is_here(const Who& who) const;
    // Who has gone and may come back; beyond, the longest gone has gone for good.
    static constexpr size_t kMostGone = 100'000;

    explicit Census(size_t most_gone = kMostGone) : most_gone_(most_gone) {}

    // The next of those who went `grace` ago, or of whom there are too many.
    std::optional<Who> take_gone(Millis now, Millis grace);
    // Everybody goes, now.
    void end(Millis now);
    size_t size() const { return entries_.size(); }
    // Calls see(who) for each that is_here().
    template <typename See> void each(See see) const {
        for (const auto& entry : entries_)
            see(entry->who);
    }

  private:
    struct Entry {
        Who who;
        std::string name; // of all that
        uint32_t count = 0;
        Millis gone_at = 0; // where there is none
        Hook of_gone;
        std::string_view key() const { return name; }
    };

    static std::string name_of(const Who& who);
    void put_away(Entry& entry, Millis now);

    NamedSet<Entry> entries_;
    List<Entry, &Entry::of_gone> gone_; // the longest gone first
    size_t gone_count_ = 0;
    const size_t most_gone_;
};

} // namespace fanhorn
