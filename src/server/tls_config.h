// SPDX-License-Identifier: Apache-2.0
// From [tls] sections to certificates and keys, and the names by which listeners refer to them.
#pragma once

#include "server/config.h"
#include "server/sections.h"

#include <vector>

namespace fanhorn {

// Whether the `tls` of a listener is a [tls] section that there is.
void check_tls_name(const Section& listener, const std::vector<Section>& sections, Faults& faults);

// Of every [tls] section, with defaults; reads the files.
std::vector<TlsSection> make_tls(const std::vector<Section>& sections, const Surroundings& world,
                                 Faults& faults);

// Null where there is none of that name.
std::shared_ptr<const TlsContext> find_tls(const std::vector<TlsSection>& sections,
                                           std::string_view name);

} // namespace fanhorn
