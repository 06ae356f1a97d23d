// SPDX-License-Identifier: Apache-2.0
// Where a Redis server is: redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], unix:PATH.
#pragma once

#include "base/result.h"
#include "modules/redis_connection.h"

#include <string>
#include <string_view>

namespace fanhorn {

// The URL as it is, or what is wrong with it.
Result<std::string> check_redis_url(std::string_view url);
// Asks the resolver: at start, never on a loop.
Result<RedisPeer> find_redis(std::string_view url);

} // namespace fanhorn
