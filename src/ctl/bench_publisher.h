// SPDX-License-Identifier: Apache-2.0
// Publishes the messages of a plan, at its rate or within its window.
#pragma once

#include "ctl/bench_counters.h"
#include "ctl/bench_lane.h"

#include <poll.h>
#include <string>
#include <vector>

namespace fanhorn::ctl::load {

struct Published {
    uint64_t messages = 0; // of the plan, the first ones, that were to be published
    uint64_t accepted = 0, refused = 0;
    uint64_t began_ns = 0, ended_ns = 0; // first message made, last answer read
    uint64_t cpu_ns = 0;                 // this process's own meanwhile
    std::string trouble;                 // the first that was met
};

class Publisher {
  public:
    Publisher(const Plan& plan, const Shared& shared);

    // Returns when all is answered, of what began in the plan's time, or nothing has moved for the
    // plan's patience.
    Published run();

  private:
    bool is_window_open() const;
    // Until the rate wants that message; 0 for now, and always when it goes flat out.
    uint64_t due_in_ns(uint64_t message) const;
    void look_at_the_clock();
    void cut();
    void fill(Lane& lane);
    bool turn();
    uint64_t idle_ns(const Lane& lane) const;
    void wait();
    bool has_moved();

    const Plan& plan_;
    const Shared& shared_;
    std::vector<Lane> lanes_;
    std::vector<pollfd> polled_; // one a lane
    uint64_t began_ns_ = 0;
    uint64_t limit_;         // the place in the plan where publishing ends
    uint64_t fanned_ = 0;    // deliveries that what was published should give
    uint64_t delivered_ = 0; // at the last look
    uint64_t forgiven_ = 0;  // deliveries that are not waited for any more
    uint64_t accepted_ = 0, moved_ns_ = 0;
};

} // namespace fanhorn::ctl::load
