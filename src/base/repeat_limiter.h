// SPDX-License-Identifier: Apache-2.0
// Holds back what a log has said often enough already, and counts it.
#pragma once

#include "base/clock.h"
#include "base/log.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace fanhorn {

// One thread's. An event may be written kBurst times in a window that its first occurrence opens;
// the others of the window are counted and told once, when it has passed.
class RepeatLimiter {
  public:
    static constexpr Millis kWindow = 10'000;
    static constexpr uint32_t kBurst = 10;
    static constexpr size_t kNames = 64; // events beyond these are not limited

    // Whether this occurrence is to be written. `event` must live as long as the limiter: a
    // literal. expire() comes first, so that what a former window held back is told before.
    bool admit(LogLevel level, std::string_view event, Millis now);

    // Calls report(level, event, held back) for every window that has passed and held something
    // back.
    template <typename Report> void expire(Millis now, Report report) {
        if (now < next_)
            return;
        next_ = now + kWindow;
        std::erase_if(windows_, [&](const Window& window) {
            if (now < window.end) {
                next_ = window.end < next_ ? window.end : next_;
                return false;
            }
            if (window.seen > kBurst)
                report(window.level, window.event, window.seen - kBurst);
            return true;
        });
    }

  private:
    struct Window {
        std::string_view event;
        Millis end;
        uint32_t seen;
        LogLevel level;
    };
    std::vector<Window> windows_; // few: looked through from the front
    Millis next_ = 0;             // no window ends before
};

} // namespace fanhorn
