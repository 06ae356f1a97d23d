// SPDX-License-Identifier: Apache-2.0
// From [auth] sections to those who vouch, and the names by which other sections refer to them.
#pragma once

#include "relay/identity.h"
#include "server/endpoint.h"
#include "server/sections.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

using Authorities = std::map<std::string, std::shared_ptr<const Authority>, std::less<>>;

// Null where there is none of that name.
std::shared_ptr<const Authority> find_authority(const Authorities& authorities,
                                                std::string_view name);

// Whether what one section says is `public`, a word for nobody, or an [auth] section that there is.
// Before defaults are filled in, or each [channel] would tell of [defaults channel].
void check_auth_names(const Section& section, const std::vector<Section>& sections, Faults& faults);

using Endpoints = std::map<std::string, Endpoint>;

// Of every [auth] section, with defaults; reads the key files, and resolves the names of hosts that
// will be asked.
Authorities make_authorities(const std::vector<Section>& sections, const Surroundings& world,
                             Endpoints& endpoints, Faults& faults);

} // namespace fanhorn
