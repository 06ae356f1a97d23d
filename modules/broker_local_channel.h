// SPDX-License-Identifier: Apache-2.0
// A channel as the local broker remembers it; for its own files.
#pragma once

#include "modules/broker_local.h"

#include <algorithm>

namespace fanhorn {

struct LocalBroker::Channel {
    std::string_view key() const { return name; }

    std::string name;
    const ChannelSettings* settings = nullptr; // of rules_ when generation is generation_
    uint32_t generation = 0;
    uint32_t staged = 0; // messages and ends that are on their way to it
    uint64_t n = 0;
    History history;
    MessageRef retained;
    std::u16string wanted; // numbers of workers; up to seven need no memory of their own
    Ref<Audience> audience = make_ref<Audience>();
    Hook expiry;
};

// What some workers want of the channels that it matches.
struct LocalBroker::Wildcard {
    Pattern pattern;
    const ChannelSettings* settings = nullptr; // of rules_ when generation is generation_
    uint32_t generation = 0;
    std::u16string wanted; // numbers of workers
    Ref<Audience> audience = make_ref<Audience>();
};

// A box is woken once, however much of one lock's time is put into it.
template <typename Mail> void LocalBroker::push(uint16_t worker, Mail&& mail) {
    Mailbox* box = boxes_[worker];
    if (box->push(std::forward<Mail>(mail)) &&
        std::find(filled_.begin(), filled_.end(), box) == filled_.end())
        filled_.push_back(box);
}

} // namespace fanhorn
