// SPDX-License-Identifier: Apache-2.0
// How fast a worker takes new connections.
#pragma once

#include "relay/settings.h"

#include <algorithm>
#include <cstdint>

namespace fanhorn {

// On the worker's thread; monotonic time, in microseconds. Of a rate's count a quarter may come at
// once, so that a storm is spread over the period and not only over all of them.
class AcceptPace {
  public:
    // Until the next one may be taken; 0: now.
    int64_t wait(Rate rate, int64_t now) const {
        return rate.is_limited() ? std::max<int64_t>(behind(rate, now) - burst(rate), 0) : 0;
    }
    // One is taken.
    void take(Rate rate, int64_t now) {
        if (rate.is_limited())
            used_up_ = now + behind(rate, now);
    }

  private:
    static int64_t each(Rate rate) {
        return std::max<int64_t>(int64_t{rate.period_ms} * 1000 / rate.count, 1);
    }
    static int64_t burst(Rate rate) {
        return std::max(int64_t{rate.period_ms} * 1000 / 4, each(rate));
    }
    // By how much the next one would be ahead of an even pace.
    int64_t behind(Rate rate, int64_t now) const {
        return std::max(used_up_, now) - now + each(rate);
    }

    int64_t used_up_ = 0; // when what was taken has had its time (GCRA)
};

} // namespace fanhorn
