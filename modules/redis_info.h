// SPDX-License-Identifier: Apache-2.0
// What a Redis server tells of itself: its answer to INFO.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn {

struct RedisInfo {
    std::string run_id;            // of this run of the server; "": it did not say
    uint32_t major = 0, minor = 0; // its version
    bool is_replica = false;
    std::string evicts; // the policy by which it forgets keys; "": never
};

// Of all of INFO, or sections of it: what is not there is as above.
RedisInfo parse_info(std::string_view text);
// Why the server cannot be a broker's, with what to do; "" where it can.
std::string unfit_because(const RedisInfo& info);

} // namespace fanhorn
