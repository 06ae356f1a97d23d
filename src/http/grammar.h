// SPDX-License-Identifier: Apache-2.0
// The characters and small words of RFC 9110 and RFC 9112.
#pragma once

#include <string_view>

namespace fanhorn::http {

// RFC 9110 section 5.6.2.
bool is_token_char(char byte);
bool is_token(std::string_view text);

// What a field value may hold: HTAB, SP, visible ASCII and obs-text (RFC 9110 section 5.5).
bool is_field_char(char byte);
bool is_field_value(std::string_view text);

// uri-host [":" port] as in RFC 3986 section 3.2, without userinfo and not empty: a reg-name, an
// IPv4 address or an [IPv6 address]; the port at most 65535.
bool is_authority(std::string_view text);

} // namespace fanhorn::http
