// SPDX-License-Identifier: Apache-2.0
// Through whom a request came, as its Forwarded fields (RFC 7239) tell, or, where it has none, its
// X-Forwarded-For. Strangers write these: who may be believed is for the caller to say.
#pragma once

#include "base/net_address.h"
#include "http/request.h"

#include <cstddef>
#include <optional>
#include <string_view>

namespace fanhorn::http {

// From the nearest one back: read from the right, so that nothing a stranger wrote at the left
// changes how what a proxy wrote behind it is understood. The request outlives it.
class ForwardedHops {
  public:
    explicit ForwardedHops(const Request& request);

    // For whom the next proxy asked. Empty at the end, and at what cannot be understood, is hidden
    // or "unknown": nothing behind that is worth asking for.
    std::optional<NetAddress> next();

  private:
    bool find_field();

    const Request& request_;
    const bool is_forwarded_; // else X-Forwarded-For
    size_t fields_;           // not looked at yet
    std::string_view rest_;   // of the field that is looked at
};

} // namespace fanhorn::http
