// SPDX-License-Identifier: Apache-2.0
// What the kernel says that processes used.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <span>

namespace fanhorn::ctl::load {

struct Usage {
    // Of all living threads of these processes, from schedstat; a thread that ended takes its time
    // with it.
    uint64_t cpu_ns = 0;
    // Pss_Anon and Pss_Shmem of smaps_rollup: anonymous and shared memory, each page that several
    // of these processes share counted once; no code and no files.
    uint64_t user_bytes = 0;
    // Of the whole machine, both ends of the connections where both are on it.
    uint64_t tcp_bytes = 0;  // /proc/net/sockstat: what socket buffers hold
    uint64_t slab_bytes = 0; // /proc/meminfo: sockets, files and the rest
};

// The error names the process that is not there, or may not be looked at.
Result<Usage> read_usage(std::span<const int> pids);

} // namespace fanhorn::ctl::load
