// SPDX-License-Identifier: Apache-2.0
#include "relay/settings.h"

#include <algorithm>

namespace fanhorn {

bool ChannelSettings::allows(std::string_view transport) const {
    return std::find(transports.begin(), transports.end(), transport) != transports.end();
}

} // namespace fanhorn
