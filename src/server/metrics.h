// SPDX-License-Identifier: Apache-2.0
// What the workers and brokers count, added up.
#pragma once

#include "server/shared.h"

#include <string>

namespace fanhorn {

// Any thread: counters are read as they stand.

// Prometheus text (exposition format 0.0.4). `config` is the one in effect.
std::string metrics_text(const Shared& shared, const Config& config);
// A JSON object for the dashboard: "time" is milliseconds since 1970, "uptime" milliseconds; what
// is counted is counted from the start on.
std::string metrics_json(const Shared& shared);

} // namespace fanhorn
