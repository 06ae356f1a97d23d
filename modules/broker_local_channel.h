// SPDX-License-Identifier: Apache-2.0
// A channel as the local broker remembers it; for its own two files.
#pragma once

#include "modules/broker_local.h"

namespace fanhorn {

struct LocalBroker::Channel {
    std::string_view key() const { return name; }

    std::string name;
    const ChannelSettings* settings = nullptr; // of rules_ when generation is generation_
    uint32_t generation = 0;
    uint64_t n = 0;
    History history;
    MessageRef retained;
    std::u16string wanted; // numbers of workers; up to seven need no memory of their own
    Ref<Audience> audience = make_ref<Audience>();
    Hook expiry;
};

} // namespace fanhorn
