// SPDX-License-Identifier: Apache-2.0
// From [broker] sections to what brokers are made of.
#pragma once

#include "relay/settings.h"
#include "server/sections.h"

#include <vector>

namespace fanhorn {

// What no row can see: which of them go together. Before fill_defaults().
void check_broker(const Section& section, Faults& faults);

// Of every [broker] section, with defaults; reads its files.
std::vector<BrokerSettings> make_broker_settings(const std::vector<Section>& sections,
                                                 const Surroundings& world, Faults& faults);

} // namespace fanhorn
