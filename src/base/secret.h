// SPDX-License-Identifier: Apache-2.0
// Texts that are not to stay in memory when they have been used. Any thread.
#pragma once

#include <string>

namespace fanhorn {

// Overwrites all that the text's memory holds, in a way that no compiler leaves out; it is empty
// then.
void wipe(std::string& text);

} // namespace fanhorn
