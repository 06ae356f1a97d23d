// SPDX-License-Identifier: Apache-2.0
// What a subscription may ask for beside its channels, in a URL or in a command.
#pragma once

#include "base/filter.h"
#include "http/problem.h"
#include "relay/settings.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// `settings` are those of the channels.
std::optional<http::Problem> read_filter(std::string_view text,
                                         const std::vector<std::string>& channels,
                                         const std::vector<const ChannelSettings*>& settings,
                                         FilterRef& filter);
// Where a channel has as many as it may.
http::Problem too_many_filters();
// When to come back, for who is refused or sent away: with jitter.
uint32_t retry_ms();
// Where a user has as many connections as one may.
http::Problem too_many_of_user();
// Where they have as many channels as one user may.
http::Problem too_many_channels_of_user();

} // namespace fanhorn
