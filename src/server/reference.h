// SPDX-License-Identifier: Apache-2.0
// The reference part of fanhorn.conf(5), written from the rows.
#pragma once

#include <string>

namespace fanhorn {

// mdoc(7): a subsection for each section type with a list of its keys. The page holds exactly this
// text between two comment lines; a test compares.
std::string option_reference();

} // namespace fanhorn
