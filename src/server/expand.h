// SPDX-License-Identifier: Apache-2.0
// ${...} in values: ${NAME}, ${NAME:-default}, ${file:/path}, ${cred:NAME}, and $$ for a '$'.
#pragma once

#include "base/result.h"
#include "server/surroundings.h"

#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct Expanded {
    std::string text;
    bool secret = false; // something in it came from a ${file:} or ${cred:}: not to be shown
};

// `quote` is applied to each text that was put in (for patterns whose signs it must not add to).
// What is put in is never parsed again. Undefined names are errors.
Result<Expanded> expand(std::string_view value, const Surroundings& world,
                        std::string (*quote)(std::string_view) = nullptr);

// The items of a list value, split by commas and blanks outside of ${...}; not yet expanded, so
// that an item which a variable brings cannot become two.
std::vector<std::string> split_items(std::string_view value);

} // namespace fanhorn
