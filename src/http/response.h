// SPDX-License-Identifier: Apache-2.0
// Heads of answers: status line, fields, and the empty line that the caller ends them with.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace fanhorn::http {

// What a client with `Expect: 100-continue` waits for.
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// "Not Found"; "" for a status that we never send.
std::string_view reason_phrase(int status);

// The status line, always HTTP/1.1 (RFC 9110 section 2.5), and `Date` (section 6.6.1).
void append_status(std::string& out, int status);
// CHECKs that name and value can forge no other field: values from outside are validated before.
void append_header(std::string& out, std::string_view name, std::string_view value);
void append_content_length(std::string& out, uint64_t size);
// `Connection`, where the version does not already say it: `minor_version` is the request's.
void append_connection(std::string& out, bool keep_alive, int minor_version);

// RFC 9110 section 5.6.7, e.g. "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(time_t time);

} // namespace fanhorn::http
