// SPDX-License-Identifier: Apache-2.0
// How often clients do something, held to the rates of [channel] sections.
#pragma once

#include "relay/settings.h"

#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace fanhorn {

// One a worker, on its thread; each worker counts for itself, so that what comes over several
// connections to several workers may be that many times as much. An entry lives while it still
// counts, for a period at most; nothing is kept in the connections.
class RateLimiter {
  public:
    // Beyond so many entries newcomers share kSharedEntries among them, by their hash, and what one
    // of them sends counts for the others at its place: a flood of names makes nothing grow and
    // opens no way around.
    static constexpr size_t kMaxEntries = 64 << 10;
    static constexpr size_t kSharedEntries = 4 << 10;

    struct Who {
        std::string_view section; // its pattern: all of its channels are counted together
        std::string_view client;
        std::string_view user; // "": nobody in particular
    };

    // Counts one of each and returns 0; or counts nothing and returns in how many milliseconds it
    // is worth trying again. `rate` is limited. Monotonic time.
    Millis take(const Who& who, Rate rate, Millis now);

    // Often; now and then it drops the entries that no longer count.
    void tick(Millis now);

    size_t size() const { return entries_.size(); }

  private:
    // The keys are keyed hashes already.
    struct AsItIs {
        size_t operator()(uint64_t key) const { return key; }
    };
    using Micros = int64_t;

    Micros& entry(char kind, std::string_view section, std::string_view name);

    // GCRA: when each will have used up what it has sent ("theoretical arrival time").
    std::unordered_map<uint64_t, Micros, AsItIs> entries_;
    Millis swept_ = 0;
};

} // namespace fanhorn
