// SPDX-License-Identifier: Apache-2.0
// Pages that the daemon serves, embedded at build time.
#pragma once

#include <string_view>

namespace fanhorn {

// src/server/pages/demo.html
std::string_view demo_page();

} // namespace fanhorn
