// SPDX-License-Identifier: Apache-2.0
#include "relay/message.h"

namespace fanhorn {

std::string_view gap_reason(Gap::Why why) {
    switch (why) {
    case Gap::Why::Trimmed:
        return "trimmed";
    case Gap::Why::Epoch:
        return "epoch";
    case Gap::Why::Ahead:
        return "ahead";
    case Gap::Why::Overflow:
        return "overflow";
    case Gap::Why::Broker:
        return "broker";
    }
    CHECK(false);
    return {};
}

} // namespace fanhorn
