// SPDX-License-Identifier: Apache-2.0
#include "modules/redis_info.h"

#include "base/text.h"

namespace fanhorn {

namespace {

// Of a line `name:value`.
std::string_view value_of(std::string_view info, std::string_view name) {
    const size_t at = info.find("\n" + std::string(name) + ":");
    if (at == info.npos)
        return {};
    info.remove_prefix(at + name.size() + 2);
    return info.substr(0, info.find_first_of("\r\n"));
}

uint32_t small_number(std::string_view text) {
    return static_cast<uint32_t>(parse_u64(text).value_or(0));
}

} // namespace

RedisInfo parse_info(std::string_view text) {
    RedisInfo info;
    info.run_id = value_of(text, "run_id");
    std::string_view version = value_of(text, "redis_version");
    info.major = small_number(take_until(version, '.'));
    info.minor = small_number(take_until(version, '.'));
    info.is_replica = value_of(text, "role") == "slave";
    const std::string_view policy = value_of(text, "maxmemory_policy");
    if (!policy.empty() && policy != "noeviction" && value_of(text, "maxmemory") != "0")
        info.evicts = policy;
    return info;
}

std::string unfit_because(const RedisInfo& info) {
    if (info.run_id.empty())
        return "INFO does not tell us its run_id";
    if (info.major < 6 || (info.major == 6 && info.minor < 2))
        return "Redis 6.2 or later is needed";
    if (info.is_replica)
        return "it is a replica, and the master is needed";
    if (!info.evicts.empty())
        return "its maxmemory-policy " + info.evicts +
               " forgets silently what it was given: set noeviction there";
    return {};
}

} // namespace fanhorn
