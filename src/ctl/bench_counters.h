// SPDX-License-Identifier: Apache-2.0
// What the processes of a benchmark tell each other: anonymous memory that fork() shares.
#pragma once

#include "ctl/bench_histogram.h"

#include <atomic>
#include <cstdint>
#include <span>

namespace fanhorn::ctl::load {

// Of one writer, so that no bus lock is paid for a delivery.
class Counter {
  public:
    void add(uint64_t by) {
        value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }
    void set(uint64_t value) { value_.store(value, std::memory_order_release); }
    uint64_t get() const { return value_.load(std::memory_order_acquire); }

  private:
    std::atomic<uint64_t> value_ = 0;
};

enum class Phase : uint32_t {
    kConnect,
    kRun,
    kDrain, // all is published
    kFinish,
};

// One process's. Written by it alone.
struct alignas(64) Tally {
    Counter connected, failed, closed; // connections; closed ones were connected before
    Counter expected;                  // deliveries, set as the publishing has ended
    Counter deliveries, doubled, disordered, lost;
    Counter reads, last_delivery_ns;
    Counter cpu_before_ns, cpu_after_ns; // this process's own, around the run
    Counter phase;                       // the last one seen
    Histogram latency_ns;
    char trouble[160] = {}; // the first that was met
};

struct Shared {
    std::atomic<Phase> phase = Phase::kConnect;
    std::atomic<uint64_t> messages = 0; // that were published, from kDrain on
    std::span<Tally> tallies;

    uint64_t sum(Counter Tally::*counter) const {
        uint64_t all = 0;
        for (const Tally& tally : tallies)
            all += (tally.*counter).get();
        return all;
    }
};

// For `processes` of them. It stays until the process ends.
Shared& make_shared_counters(unsigned processes);

} // namespace fanhorn::ctl::load
