// SPDX-License-Identifier: Apache-2.0
#include "server/address_limiter.h"

#include "base/check.h"

namespace fanhorn {

std::optional<Limit> AddressLimiter::enter(uint64_t address, const AddressLimits& limits,
                                           Millis now) {
    const std::lock_guard lock(mutex_);
    const auto found = connections_.find(address);
    if (limits.connections && found != connections_.end() && found->second >= limits.connections)
        return Limit::ConnectionsPerAddress;
    const std::string_view name(reinterpret_cast<const char*>(&address), sizeof address);
    if (limits.rate.is_limited() &&
        rates_.take({.section = {}, .client = name, .user = {}}, limits.rate, now) > 0)
        return Limit::ConnectionRate;
    if (found != connections_.end())
        ++found->second;
    else
        connections_.emplace(address, 1);
    return std::nullopt;
}

void AddressLimiter::leave(uint64_t address) {
    const std::lock_guard lock(mutex_);
    const auto found = connections_.find(address);
    CHECK(found != connections_.end());
    if (--found->second == 0)
        connections_.erase(found);
}

void AddressLimiter::tick(Millis now) {
    const std::lock_guard lock(mutex_);
    rates_.tick(now);
}

size_t AddressLimiter::size() const {
    const std::lock_guard lock(mutex_);
    return connections_.size();
}

} // namespace fanhorn
