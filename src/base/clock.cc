// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <ctime>

namespace fanhorn {

Millis SystemClock::now() const {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1'000'000;
}

Millis wall_millis() {
    timespec time{};
    clock_gettime(CLOCK_REALTIME_COARSE, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1'000'000;
}

int64_t monotonic_micros() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000 + time.tv_nsec / 1000;
}

} // namespace fanhorn
