// SPDX-License-Identifier: Apache-2.0
// How far a durable broker's checkpoint has come; for its own files.
#pragma once

#include "modules/broker_durable.h"

namespace fanhorn {

// A channel goes into one group with all that it keeps; what changes it meanwhile is logged behind
// it, or was before. The rest follows.
struct DurableBroker::Checkpoint {
    std::string next_channel;
    bool has_channels = true; // there may be more
    uint64_t next_key = 0;
    bool has_markers = true;
    uint64_t bytes = 0;
    int64_t begun_at = 0; // micros
    std::string entries;
};

} // namespace fanhorn
