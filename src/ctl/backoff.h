// SPDX-License-Identifier: Apache-2.0
// How long to wait before another try.
#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <algorithm>

namespace fanhorn::ctl {

// Full jitter, so that many do not come back together: a random time of at most half a second,
// which doubles with each failure, up to 30 seconds.
class Backoff {
  public:
    static constexpr uint32_t kFirstMs = 500, kLongestMs = 30'000;
    // What a server asks for is waited for, within reason.
    static constexpr Millis kLongestAskedMs = 3'600'000;

    bool is_first() const { return failures_ == 0; }
    void succeeded() { failures_ = 0; }
    // `asked_ms` is what the server wants, 0 for nothing; it wins over what would be shorter.
    Millis failed(Millis asked_ms) {
        const uint32_t longest = std::min(kLongestMs, kFirstMs << std::min(failures_++, 6u));
        return std::max<Millis>(random_below(longest) + 1, std::min(asked_ms, kLongestAskedMs));
    }

  private:
    uint32_t failures_ = 0;
};

} // namespace fanhorn::ctl
