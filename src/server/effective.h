// SPDX-License-Identifier: Apache-2.0
// The effective configuration as text (-T).
#pragma once

#include "server/sections.h"

#include <string>
#include <vector>

namespace fanhorn {

// Every section with every key, its value and where that comes from. Is itself a configuration with
// the same meaning. What came from ${file:} and ${cred:} is shown as it was written.
std::string effective_text(const std::vector<Section>& sections);

} // namespace fanhorn
