// SPDX-License-Identifier: Apache-2.0
#include "base/repeat_limiter.h"

namespace fanhorn {

bool RepeatLimiter::admit(LogLevel level, std::string_view event, Millis now) {
    for (Window& window : windows_) {
        if (window.event == event)
            return ++window.seen <= kBurst;
    }
    if (windows_.size() < kNames) {
        windows_.push_back({event, now + kWindow, 1, level});
        if (windows_.size() == 1 || now + kWindow < next_)
            next_ = now + kWindow;
    }
    return true;
}

} // namespace fanhorn
