// SPDX-License-Identifier: Apache-2.0
#include "relay/transport.h"

namespace fanhorn {

std::string Transport::refusal(const http::Problem&, const std::string&, uint32_t) const {
    return {};
}

} // namespace fanhorn
