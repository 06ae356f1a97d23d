// SPDX-License-Identifier: Apache-2.0
// From [hooks] sections to whom they lead.
#pragma once

#include "server/hook_settings.h"
#include "server/sections.h"

#include <vector>

namespace fanhorn {

// Of every [hooks] section, with defaults; reads its files, and resolves the host's name.
std::vector<HookSettings> make_hooks(const std::vector<Section>& sections,
                                     const Surroundings& world, Faults& faults);

} // namespace fanhorn
