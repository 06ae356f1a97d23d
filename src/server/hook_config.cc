// SPDX-License-Identifier: Apache-2.0
#include "server/hook_config.h"

#include "server/endpoint_config.h"

namespace fanhorn {

std::vector<HookSettings> make_hooks(const std::vector<Section>& sections,
                                     const Surroundings& world, Faults& faults) {
    std::vector<HookSettings> made;
    for (const Section& section : sections) {
        if (section.type->type != std::string_view("hooks") || !section.is_whole())
            continue;
        HookSettings& hooks = made.emplace_back();
        for (size_t i = 0; i < section.settings.size(); ++i)
            section.type->rows[i].binding.store(&hooks, section.settings[i].value);
        hooks.name = section.name;
        for (const std::string& channel : hooks.channels)
            hooks.patterns.push_back(*Pattern::parse(channel)); // the row has checked it
        if (auto endpoint = make_endpoint(section, world, faults))
            hooks.endpoint = std::move(*endpoint);
    }
    return made;
}

} // namespace fanhorn
