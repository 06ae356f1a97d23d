// SPDX-License-Identifier: Apache-2.0
// How much memory the daemon has, against what it may have, and what it therefore goes without.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "http/problem.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn {

// Each goes without what those before it do, too.
enum class MemoryLevel : uint8_t {
    Normal,
    NoSubscriptions, // from 80 % of the budget on
    FewerReaders,    // 90 %: of those whose sockets are full the furthest behind are closed
    NoPublishes,     // 95 %
};
std::string_view memory_level_name(MemoryLevel level);

// The level of one measurement. One is left when 3 % of the budget less are used than it begins
// with; publishes are refused only when readers have been closed before.
MemoryLevel next_level(MemoryLevel current, uint64_t used, uint64_t budget);

// The least of the machine's memory and of the limits of our control groups. `root` is for tests:
// what stands before /proc and /sys.
uint64_t available_memory(const std::string& root = "");

// What is refused, to whom it was said when to come back, in 5 to 30 seconds.
http::Problem memory_problem();

// Measures on the main thread; any thread asks.
class MemoryWatch {
  public:
    static constexpr Millis kEvery = 1000;
    // What the allocator keeps for later goes back to the system so often, where memory is short.
    static constexpr Millis kTrimEvery = 5000;

    MemoryWatch();
    ~MemoryWatch();
    MemoryWatch(const MemoryWatch&) = delete;
    MemoryWatch& operator=(const MemoryWatch&) = delete;

    // The main thread. `budget` in bytes; up to 100 per cent of available_memory().
    void set_budget(uint64_t budget);
    void tick(Millis now);

    MemoryLevel level() const { return level_.load(std::memory_order_relaxed); }
    bool has_room_for_subscriptions() const { return level() < MemoryLevel::NoSubscriptions; }
    bool has_room_for_publishes() const { return level() < MemoryLevel::NoPublishes; }
    // How often it was found that readers have to go.
    uint32_t rounds() const { return rounds_.load(std::memory_order_relaxed); }
    uint64_t used() const { return used_.load(std::memory_order_relaxed); }
    uint64_t budget() const { return budget_.load(std::memory_order_relaxed); }

    struct Usage {
        uint64_t resident = 0; // bytes
        uint64_t own = 0;      // of these, no file's: what used() was
    };
    Usage measure() const;

  private:
    const int statm_; // kept open: there may be no descriptor when it is needed
    std::atomic<MemoryLevel> level_{MemoryLevel::Normal};
    std::atomic<uint32_t> rounds_{0};
    std::atomic<uint64_t> used_{0}, budget_{UINT64_MAX};
    Millis measured_ = 0, trimmed_ = 0;
};

} // namespace fanhorn
