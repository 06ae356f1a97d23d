// SPDX-License-Identifier: Apache-2.0
// What GET /dashboard/events streams: the daemon's figures (metrics.h), a message a second on a
// channel of their own, while somebody is subscribed to it.
#pragma once

#include "relay/settings.h"
#include "server/shared.h"

#include <string_view>

namespace fanhorn {

// Reserved: no request or command names it. Its settings are ours, whatever the configuration says.
inline constexpr std::string_view kDashboardChannel = "$dashboard";
const ChannelSettings& dashboard_settings();

// On the main thread, where what /proc says may take its time.
class Dashboard {
  public:
    explicit Dashboard(const Shared& shared) : shared_(shared) {}

    // Publishes when it is time and somebody looks; to be called several times a second.
    void tick();

  private:
    void publish();

    const Shared& shared_;
    Millis due_ = 0;
};

} // namespace fanhorn
