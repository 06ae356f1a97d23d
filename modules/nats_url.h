// SPDX-License-Identifier: Apache-2.0
// Where NATS servers are: nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT][,HOST[:PORT]...], the same with
// tls:// for TLS.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct NatsUrl {
    std::vector<std::string> hosts;    // at least one, each with its port
    std::string user, password, token; // "": none
    bool is_secure = false;
};

Result<NatsUrl> parse_nats_url(std::string_view url);
inline bool is_nats_url(std::string_view url) {
    return url.starts_with("nats://") || url.starts_with("tls://");
}
// Whether it may name a stream, and be the beginning of subjects.
bool is_nats_name(std::string_view prefix);

} // namespace fanhorn
