// SPDX-License-Identifier: Apache-2.0
// Descriptors on their way to another thread, whose table of them may be another one.
#pragma once

#include "net/socket.h"

namespace fanhorn {

// One thread sends, another receives, in order (SCM_RIGHTS, unix(7)). Made before the tables part:
// both ends are in both.
class Handoff {
  public:
    Handoff();

    // Takes the descriptor out of this thread's table. Never blocks; fails when some hundreds wait.
    Result<void> send(Descriptor descriptor);
    // The next one, in this thread's table; none when nothing waits or the table is full.
    Descriptor receive();

  private:
    Descriptor in_, out_;
};

// Gives the calling thread a table of its own, a copy of the process's: its descriptors then count
// for themselves under RLIMIT_NOFILE, and a number means something else in each table.
Result<void> own_descriptor_table();

} // namespace fanhorn
