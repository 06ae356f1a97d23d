// SPDX-License-Identifier: Apache-2.0
#include "server/subscribe_options.h"

#include "base/random.h"

namespace fanhorn {

std::optional<http::Problem> read_filter(std::string_view text,
                                         const std::vector<std::string>& channels,
                                         const std::vector<const ChannelSettings*>& settings,
                                         FilterRef& filter) {
    for (size_t i = 0; i < settings.size(); ++i)
        if (!settings[i]->filter)
            return http::problem("bad_option", "'" + channels[i] + "' takes no filter");
    auto parsed = Filter::parse(text);
    if (!parsed)
        return http::problem("bad_option", parsed.error());
    filter = std::move(*parsed);
    return std::nullopt;
}

http::Problem too_many_filters() {
    return http::problem("overloaded",
                         "a channel has as many filters as 'filters' in [limits] allows");
}

uint32_t retry_ms() {
    return 1000 + random_below(9000);
}

http::Problem too_many_of_user() {
    return http::problem("rate_limited", "you have as many connections as "
                                         "'connections_per_user' in [limits] allows");
}

http::Problem too_many_channels_of_user() {
    return http::problem("rate_limited", "your connections have as many channels as "
                                         "'channels_per_user' in [limits] allows");
}

} // namespace fanhorn
