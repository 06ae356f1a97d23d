// SPDX-License-Identifier: Apache-2.0
// Who may speak to us from a web page: CORS for the public side, and the guard of the private one.
#pragma once

#include "http/request.h"
#include "server/config.h"

#include <string>
#include <vector>

namespace fanhorn {

// Whether the request's Origin may subscribe: there is none (no browser), it is the listener's
// own, it is in `origins`, or that list is empty.
bool is_origin_allowed(const http::Request& request, const ListenerSettings& listener);

// Whether a cookie that came with the request may count: it comes from no other site's page. What
// `*` or an empty list lets in may not bring one.
bool is_cookie_allowed(const http::Request& request, const ListenerSettings& listener);

// The CORS lines of an answer to a request whose origin is allowed; "" when it has no Origin.
// Without a list any origin may read, without credentials.
std::string cors_headers(const http::Request& request, const ListenerSettings& listener);
// What an OPTIONS request is answered besides.
std::string preflight_headers();

// Publish and control: no foreign Origin, and a Host that is the listener's (an IP address,
// localhost, or one of `hosts`), or a web page could publish through its visitor's browser, by DNS
// rebinding if need be. Empty when allowed, else the reason.
std::string private_refusal(const http::Request& request, const ListenerSettings& listener);

} // namespace fanhorn
