// SPDX-License-Identifier: Apache-2.0
// Where Redis servers are: redis://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]...][/DATABASE], the
// same with rediss:// for TLS, or unix:/PATH.
#pragma once

#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct RedisHost {
    std::string name, port;

    bool operator==(const RedisHost&) const = default;
    std::string text() const { return name + ":" + port; }
};

struct RedisUrl {
    std::vector<RedisHost> hosts; // at least one, or else there is a path
    std::string path;             // of a unix socket
    std::string user, password;   // "": none
    std::string database;         // "": 0
    bool is_secure = false;
};

Result<RedisUrl> parse_redis_url(std::string_view url);
// [[USER]:PASSWORD@]HOST[:PORT], a sentinel: one host.
Result<RedisUrl> parse_sentinel(std::string_view text);
// The text as it is, or what is wrong with it.
Result<std::string> check_redis_url(std::string_view url);
Result<std::string> check_sentinel(std::string_view text);

// Of an error "MOVED SLOT HOST:PORT" or "ASK ...": where the keys are. None for other errors, and
// where a node does not know its peer's address.
std::optional<RedisHost> moved_to(std::string_view error);

} // namespace fanhorn
