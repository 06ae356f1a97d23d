// SPDX-License-Identifier: Apache-2.0
// Claims: what is said of a client, by a token or by the application, as a JSON object.
#pragma once

#include "modules/json_object.h"
#include "relay/identity.h"

#include <optional>
#include <string_view>

namespace fanhorn {

// Patterns of one claim, each of which is looked at for every channel that is asked for.
inline constexpr size_t kMaxPatterns = 256;

// User, patterns and info, by the names that the section gives those claims. `whose` ("the
// token's") begins what is told of a claim that makes no sense.
std::optional<TokenRefusal> read_claims(const JsonObject& claims, const AuthSettings& settings,
                                        std::string_view whose, Identity& identity);

} // namespace fanhorn
