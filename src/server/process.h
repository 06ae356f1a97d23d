// SPDX-License-Identifier: Apache-2.0
// The process around the workers: limits, pid file, service manager, what /proc says.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn {

// Raises the soft limit on descriptors to the hard one; what it is then.
uint64_t raise_descriptor_limit();

// Makes room for `count` descriptors, 65,536 at most. A table that grows when there are several
// threads holds up who needs the room for 5 to 25 ms: the kernel waits until no CPU can see the old
// one. To be called while there is one thread.
void widen_descriptor_table(uint64_t count);

// Writes our pid; refuses when the file names a process that lives and is not `predecessor`. An
// empty path: nothing.
Result<void> write_pid_file(const std::string& path, int predecessor = 0);
void remove_pid_file(const std::string& path);
// The pid in that file.
Result<int> read_pid_file(const std::string& path);

// sd_notify(3) without its library: nothing where NOTIFY_SOCKET is not set.
void notify_service_manager(std::string_view state);
// "RELOADING=1" with the time that systemd asks for.
std::string reloading_state();
// "STOPPING=1", and that it may take so long.
std::string stopping_state(int64_t millis);
// Half of WATCHDOG_USEC in milliseconds; 0 where no watchdog is wanted.
int64_t watchdog_interval();

// Where there is no memory for `new`, the process says so on stderr and aborts: it could not go on
// with half of what it does, and a service manager starts another at once. What a stranger can make
// grow has limits of its own.
void abort_without_memory();

// Large buffers come from the kernel and go back to it one by one, whatever lies beside them:
// memory that readers who stopped had is not kept by the allocator in pieces.
void tune_allocator();

uint64_t open_descriptors();

} // namespace fanhorn
