// SPDX-License-Identifier: Apache-2.0
// What all workers see: constant after the start, or atomic.
#pragma once

#include "base/clock.h"
#include "relay/broker.h"
#include "server/address_limiter.h"
#include "server/config.h"
#include "server/hooks.h"
#include "server/memory_watch.h"
#include "server/posted_sessions.h"
#include "server/upgrade_words.h"
#include "server/users.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

class Worker;

struct NamedBroker {
    std::string name;  // "" is the built-in one
    Counters counters; // written under the broker's own lock
    std::unique_ptr<Broker> broker;
};

struct Shared {
    SystemClock clock;
    std::vector<std::unique_ptr<NamedBroker>> brokers;
    std::vector<const Counters*> counters; // the workers', then the brokers', then:
    Counters carried;                      // by the process whose place this one took
    int64_t started_micros = 0;
    std::atomic<uint32_t> connections{0};
    std::atomic<uint32_t> max_connections{0};
    std::atomic<uint32_t> missing_reserve{0}; // descriptors, see DescriptorReserve
    AddressLimiter addresses;
    UserCounts user_counts;
    MemoryWatch memory;
    std::atomic<uint64_t> reloads{0};
    std::atomic<bool> is_draining{false};
    // By UpgradeEnd, of this process and of those whose place it took.
    std::array<std::atomic<uint64_t>, kUpgradeEnds> upgrades{};
    std::atomic<uint64_t> handed_connections{0}; // that it took over
    std::atomic<int64_t> freeze_micros{0};       // for which nobody served them
    size_t workers = 0;
    PostedSessions posted_sessions;
    Hooks hooks{clock};
    Observer* observer = nullptr; // they, when there are any from the start on
    std::vector<Worker*> crew;    // they, from before the first loop runs to behind the last
    Descriptors descriptors = Descriptors::Process;
};

} // namespace fanhorn
