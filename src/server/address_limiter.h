// SPDX-License-Identifier: Apache-2.0
// How many connections each address has, and how fast it opens new ones.
#pragma once

#include "relay/counters.h"
#include "server/rate_limiter.h"

#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace fanhorn {

struct AddressLimits {
    uint32_t connections = 0; // at a time; 0: as many as it likes
    Rate rate;                // of new ones

    bool any() const { return connections != 0 || rate.is_limited(); }
};

// For all workers together; any thread. An address has an entry while it has a connection, and in
// the RateLimiter.
class AddressLimiter {
  public:
    // Counts one more of `address`, a keyed hash of a network_key(), until leave(); or counts
    // nothing and returns the limit that it is beyond. Monotonic time.
    std::optional<Limit> enter(uint64_t address, const AddressLimits& limits, Millis now);
    void leave(uint64_t address);
    // Often.
    void tick(Millis now);

    // Addresses that have connections.
    size_t size() const;

  private:
    struct AsItIs {
        size_t operator()(uint64_t key) const { return key; }
    };

    mutable std::mutex mutex_;
    std::unordered_map<uint64_t, uint32_t, AsItIs> connections_;
    RateLimiter rates_;
};

} // namespace fanhorn
