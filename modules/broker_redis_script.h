// SPDX-License-Identifier: Apache-2.0
// broker_redis.lua, as the build puts it into the daemon.
#pragma once

#include <string_view>

namespace fanhorn {

std::string_view redis_script();

} // namespace fanhorn
