// SPDX-License-Identifier: Apache-2.0
// The events that wait for one application: in their order, within bounds, until it has taken them.
#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// One batch is on its way at a time. What is not taken goes again, after a pause that doubles from
// kLeastPause to kMostPause, jittered down to its half. Not thread-safe.
class HookQueue {
  public:
    struct Bounds {
        size_t batch_events = 500;
        size_t batch_bytes = 256 << 10; // of their JSON; but one event at least
        Millis delay = 500;             // that an event waits for others
        size_t events = 100'000; // on their way and waiting; the oldest that waits is dropped
        size_t bytes = 16 << 20;
        Millis age = 3'600'000;
    };
    static constexpr Millis kLeastPause = 500, kMostPause = 30'000;

    // Why events were dropped: the bounds in their order, and the daemon's end.
    enum class Drop : uint8_t { Events, Bytes, Age, Stop };
    static constexpr size_t kDrops = 4;
    static std::string_view drop_name(size_t drop);

    // `start`: what the ids of this queue's events begin with.
    HookQueue(std::string start, const Bounds& bounds, uint32_t seed)
        : start_(std::move(start)), bounds_(bounds), random_(seed) {}

    void set_bounds(const Bounds& bounds) { bounds_ = bounds; }
    // `rest`: the members of the event's object but its id.
    void push(std::string_view rest, Millis now);
    // A batch that is due: {"dropped":N,"events":[…]}. `hurries`: whatever is there is due,
    // at once.
    std::optional<std::string> take(Millis now, bool hurries = false);
    // What became of it: the application has it, or not; or it was never heard of, and no time is
    // lost.
    enum class Outcome : uint8_t { Taken, Failed, Undone };
    void settle(Outcome outcome, Millis now);
    // Drops what is older than it may be; some times a second.
    void expire(Millis now);
    // Drops all.
    void abandon();

    bool is_sending() const { return !flying_.empty(); }
    size_t events() const { return waiting_.size() + flying_.size(); }
    size_t bytes() const { return bytes_; }
    uint64_t raised() const { return raised_; }
    uint64_t taken() const { return taken_; }
    const std::array<uint64_t, kDrops>& dropped() const { return dropped_; }

  private:
    struct Event {
        std::string json;
        Millis at;
    };

    bool is_due(Millis now) const;
    void drop_oldest(Drop why);
    Millis pause();

    const std::string start_;
    Bounds bounds_;
    std::minstd_rand random_;
    std::deque<Event> waiting_;
    std::vector<Event> flying_;
    size_t bytes_ = 0, waiting_bytes_ = 0;
    uint64_t raised_ = 0, taken_ = 0;
    std::array<uint64_t, kDrops> dropped_{};
    uint64_t untold_ = 0, telling_ = 0; // drops: not told yet, and those of the batch on its way
    int failures_ = 0;
    Millis paused_until_ = 0;
};

} // namespace fanhorn
