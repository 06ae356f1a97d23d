// SPDX-License-Identifier: Apache-2.0
// A JSON Web Token (RFC 7519) in its compact form (RFC 7515 section 7.1), taken apart. Pure: it
// knows no keys and no clock.
#pragma once

#include "base/clock.h"
#include "base/signature.h"
#include "modules/json_object.h"

#include <optional>
#include <string>
#include <string_view>

namespace fanhorn {

struct Jwt {
    std::string_view signed_text; // header and payload, a piece of the token
    std::string payload;          // decoded; not to be looked at before the signature is checked
    std::string signature;        // decoded
    // Of the header. Other members are not looked at: no key is ever taken from a token.
    std::string algorithm;
    std::optional<std::string> key_id;
};

// The error says what it is not; it quotes nothing of the token.
Result<Jwt> parse_jwt(std::string_view token);

// A NumericDate (RFC 7519 section 2) in milliseconds; nothing when the member is not one, or lies
// before 1970 or in a time when nobody will read this.
std::optional<Millis> numeric_date(std::string_view value);

} // namespace fanhorn
