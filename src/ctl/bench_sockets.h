// SPDX-License-Identifier: Apache-2.0
// What the kernel holds in the buffers of a server's connections.
#pragma once

#include <cstdint>
#include <optional>

namespace fanhorn::ctl::load {

// Bytes, bookkeeping included, in both queues of every TCP connection of this machine whose own
// port is `port`: of a server on it, its end alone. The socket itself, some 4 kB of slab, is not
// in it. Nothing where the kernel does not tell.
std::optional<uint64_t> buffered_bytes(uint16_t port);

} // namespace fanhorn::ctl::load
