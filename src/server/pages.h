// SPDX-License-Identifier: Apache-2.0
// What the daemon serves to browsers, embedded at build time (pages/embed.py).
#pragma once

#include <string_view>

namespace fanhorn {

struct WebPage {
    std::string_view name; // "demo.html", "chat.html", "dashboard.html", "fanhorn.js", …
    std::string_view content_type;
    // Entity tags with their quotes (RFC 9110 section 8.8.3), one for each of the two.
    std::string_view tag, gzip_tag;
    std::string_view body, gzip;
};

// Null where there is none. Any thread.
const WebPage* find_web_page(std::string_view name);

} // namespace fanhorn
