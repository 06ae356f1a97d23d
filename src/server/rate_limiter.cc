// SPDX-License-Identifier: Apache-2.0
#include "server/rate_limiter.h"

#include "base/check.h"
#include "base/hash.h"

#include <algorithm>
#include <string>

namespace fanhorn {

namespace {

constexpr Millis kSweepEvery = 5000;

} // namespace

// Neither a section's pattern nor what connections are told by has a NUL where it could be taken
// for the other: a pattern has none at all.
RateLimiter::Micros& RateLimiter::entry(char kind, std::string_view section,
                                        std::string_view name) {
    std::string text(1, kind);
    text.append(section).append(1, '\0').append(name);
    const uint64_t key = keyed_hash(text);
    if (const auto found = entries_.find(key); found != entries_.end())
        return found->second;
    return entries_[entries_.size() < kMaxEntries ? key : key % kSharedEntries];
}

Millis RateLimiter::take(const Who& who, Rate rate, Millis now) {
    CHECK(rate.is_limited());
    const Micros now_us = now * 1000;
    const Micros period = Micros{rate.period_ms} * 1000;
    const Micros each = std::max<Micros>(period / rate.count, 1);
    Micros& client = entry('c', who.section, who.client);
    Micros* const user = who.user.empty() ? nullptr : &entry('u', who.section, who.user);
    const Micros of_client = std::max(client, now_us) + each;
    const Micros of_user = user ? std::max(*user, now_us) + each : 0;
    const Micros over = std::max(of_client, of_user) - now_us - period;
    if (over > 0)
        return (over + 999) / 1000;
    client = of_client;
    if (user)
        *user = of_user;
    return 0;
}

void RateLimiter::tick(Millis now) {
    if (now - swept_ < kSweepEvery)
        return;
    swept_ = now;
    std::erase_if(entries_, [now](const auto& each) { return each.second <= now * 1000; });
}

} // namespace fanhorn
