// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace fanhorn {

// When a durable broker's messages count as stored.
enum class LogSync : uint8_t {
    Always,      // when they are on the disk
    EverySecond, // when they are written; a second later they are on the disk
};

} // namespace fanhorn
