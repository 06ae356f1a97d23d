// SPDX-License-Identifier: Apache-2.0
// Prometheus text (exposition format 0.0.4) of what the workers count.
#pragma once

#include "relay/counters.h"

#include <span>
#include <string>

namespace fanhorn {

// What is not counted by a worker.
struct ProcessFacts {
    uint64_t channels = 0;
    uint64_t workers = 0;
    uint64_t uptime_s = 0;
    uint64_t resident_bytes = 0;
    uint64_t descriptors = 0;
    uint64_t reloads = 0;
    bool is_draining = false;
};

// Any thread: counters are read as they stand.
std::string metrics_text(std::span<const Counters* const> workers, const ProcessFacts& facts);

} // namespace fanhorn
