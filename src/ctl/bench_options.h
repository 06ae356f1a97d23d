// SPDX-License-Identifier: Apache-2.0
// What a benchmark is asked to do.
#pragma once

#include "base/result.h"
#include "ctl/bench_marker.h"
#include "ctl/bench_target.h"
#include "ctl/command_line.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fanhorn::ctl::load {

enum class Transport { kWebSocket, kSse, kLongPoll, kSocketIo };
enum class Format { kRaw, kNdjson, kJsonItems };

struct Plan {
    Target subscribe, publish;
    Transport transport = Transport::kWebSocket;
    Format format = Format::kRaw;
    uint64_t subscribers = 0, stopped = 0; // the last `stopped` of them never read
    uint64_t channels = 0, messages = 0, size = 0;
    uint64_t seconds = 0; // of publishing at most; 0: no limit
    uint64_t rate = 0;    // messages a second; 0: flat out, within the window
    uint64_t window = 0;  // messages
    uint64_t publishers = 0, pipeline = 0;
    uint64_t processes = 0, sources = 0; // no sources: the kernel's choice
    uint64_t connect_rate = 0;           // a second, of all processes; 0: no limit
    uint64_t ahead = 0, hold_s = 0, patience_s = 0;
    std::vector<int> pids;
    std::string prefix; // of the channels' names
    bool as_json = false;

    uint64_t readers() const { return subscribers - stopped; }
    uint64_t readers_of(uint64_t channel) const { return share(readers(), channel); }
    // Of what is dealt out over the channels in turn, as readers and messages are.
    uint64_t share(uint64_t all, uint64_t channel) const {
        return all / channels + (channel < all % channels);
    }
};

extern const std::span<const Option> kOptions;

Result<Plan> make_plan(const Arguments& arguments);

} // namespace fanhorn::ctl::load
