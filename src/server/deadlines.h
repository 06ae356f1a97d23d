// SPDX-License-Identifier: Apache-2.0
// Time-outs without timers: who waits equally long stands on one list, in the order of deadlines.
#pragma once

#include "base/clock.h"
#include "base/list.h"

#include <map>

namespace fanhorn {

// A member of T.
struct Deadline {
    Hook hook;
    Millis at = 0;
    bool is_armed() const { return hook.is_linked(); }
    void disarm() { hook.unlink(); }
};

// T derives from Deadline. The number of different durations is small: they are settings.
template <typename T> class Deadlines {
  public:
    // Arms, or arms anew.
    void arm(T& waiter, Millis duration, Millis now) {
        waiter.disarm();
        waiter.at = now + duration;
        lists_[duration].push_back(waiter);
    }

    // Calls expire(T&) for each whose time has come; it is disarmed then and may be armed again.
    template <typename Expire> void run(Millis now, Expire expire) {
        for (auto& [duration, list] : lists_) {
            while (!list.empty() && list.front()->at <= now) {
                Deadline& due = *list.pop_front();
                expire(static_cast<T&>(due));
            }
        }
    }

  private:
    std::map<Millis, List<Deadline, &Deadline::hook>> lists_;
};

} // namespace fanhorn
