// SPDX-License-Identifier: Apache-2.0
// Time, behind a seam so that a test turns it by hand.
#pragma once

#include <cstdint>

namespace fanhorn {

// Milliseconds on the monotonic clock. One unit for all deadlines and ages in the house.
using Millis = int64_t;

class Clock {
  public:
    virtual ~Clock() = default;
    virtual Millis now() const = 0;
};

// CLOCK_MONOTONIC_COARSE: good to a few milliseconds, a dozen nanoseconds to ask. Any thread.
class SystemClock final : public Clock {
  public:
    Millis now() const override;
};

class FakeClock final : public Clock {
  public:
    Millis now() const override { return now_; }
    void advance(Millis by) { now_ += by; }

  private:
    Millis now_ = 1'000'000;
};

// Milliseconds since 1970 (UTC): for dates that others set, never for our own deadlines. Any
// thread.
Millis wall_millis();

// Microseconds on the precise monotonic clock, for measuring. Any thread.
int64_t monotonic_micros();

} // namespace fanhorn
