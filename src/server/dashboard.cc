// SPDX-License-Identifier: Apache-2.0
#include "server/dashboard.h"

#include "server/metrics.h"

namespace fanhorn {

constexpr Millis kEveryMs = 1000;

const ChannelSettings& dashboard_settings() {
    static const ChannelSettings kSettings = [] {
        ChannelSettings settings;
        settings.pattern = kDashboardChannel;
        settings.origin = "the daemon itself";
        settings.transports = {"sse"};
        settings.subscribe.text = "deny"; // but for the private listener's own route
        settings.history = 0;
        settings.slow_consumer = SlowConsumer::Latest;
        return settings;
    }();
    return kSettings;
}

// Nothing of the channel is stored, so that it is there while it has subscribers.
void Dashboard::tick() {
    const Millis now = shared_.clock.now();
    if (now < due_)
        return;
    shared_.brokers[0]->broker->facts(std::string(kDashboardChannel),
                                      [&](const std::optional<ChannelFacts>& facts) {
                                          if (!facts)
                                              return; // it stays due: who comes need not wait
                                          due_ = now - now % kEveryMs + kEveryMs;
                                          publish();
                                      });
}

void Dashboard::publish() {
    Draft draft;
    draft.channel = kDashboardChannel;
    draft.content_type = "application/json";
    draft.payload = metrics_json(shared_);
    draft.store = false;
    std::vector<Draft> drafts;
    drafts.push_back(std::move(draft));
    shared_.brokers[0]->broker->publish(std::move(drafts), [](const std::vector<Published>&) {});
}

} // namespace fanhorn
