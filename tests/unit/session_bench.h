// SPDX-License-Identifier: Apache-2.0
// A session by hand.
#pragma once

#include "relay/session.h"
#include "tests/unit/relay_bench.h"

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace fanhorn {

// A session that is open from its construction on.
class Talker {
  public:
    explicit Talker(RelayBench& bench, std::vector<std::string> channels = {}, Since since = {},
                    size_t room = SIZE_MAX)
        : bench_(bench), wish_(bench.wish(std::move(channels), since, bench.encoding)),
          session(sink, wish_, "") {
        sink.room = room;
        session.begin(wish_);
    }

    void subscribe(std::vector<std::string> channels, Since since = {}) {
        Session::Step step;
        for (const std::string& channel : channels)
            step.settings.push_back(is_wildcard(channel) ? bench_.rules->others.get()
                                                         : bench_.rules->settings_for(channel));
        step.channels = std::move(channels);
        step.since = since;
        step.reply = [name = step.channels[0]](const Start& start) {
            return start.status == Start::Status::Placed ? "ok " + name : "no " + name;
        };
        session.subscribe(std::move(step));
    }
    void open(size_t room) {
        sink.room = room;
        if (std::exchange(sink.is_blocked, false))
            session.on_writable();
    }

    FakeSink sink;

  private:
    RelayBench& bench_;
    Wish wish_;

  public:
    Session session;
};

// So many worlds, FANHORN_WORLDS=N for more: what happens in each is its own business.
template <typename World> void run_worlds() {
    const char* wanted = std::getenv("FANHORN_WORLDS");
    const uint32_t worlds = wanted ? static_cast<uint32_t>(std::atoi(wanted)) : 300;
    size_t messages = 0, gaps = 0;
    for (uint32_t seed = 1; seed <= worlds; ++seed) {
        World world(seed);
        world.run(400);
        messages += world.messages;
        gaps += world.gaps;
    }
    CHECK(messages > 100 * worlds);
    CHECK(gaps > worlds / 10);
}

} // namespace fanhorn
