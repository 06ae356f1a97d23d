// SPDX-License-Identifier: Apache-2.0
// What the kernel says that processes used.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <span>

namespace fanhorn::ctl::load {

struct Usage {
    uint64_t at_ns = 0; // CLOCK_MONOTONIC
    // Of these processes and all their threads, those that ended included: their CPU clocks.
    uint64_t cpu_ns = 0;
    // Pss_Anon and Pss_Shmem of smaps_rollup: anonymous and shared memory, each page that several
    // of these processes share counted once; no code and no files.
    uint64_t user_bytes = 0;
    // Of the whole machine, both ends of the connections where both are on it.
    uint64_t tcp_bytes = 0;  // /proc/net/sockstat: what socket buffers hold
    uint64_t slab_bytes = 0; // /proc/meminfo: sockets, files and the rest
    // The server's end alone: buffered_bytes() of its port.
    std::optional<uint64_t> server_tcp_bytes;
};

// `port` is where the server's subscribers are; 0 for no `server_tcp_bytes`. The error names the
// process that is not there, or may not be looked at.
Result<Usage> read_usage(std::span<const int> pids, uint16_t port);

} // namespace fanhorn::ctl::load
