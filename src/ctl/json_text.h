// SPDX-License-Identifier: Apache-2.0
// Finds a value in a JSON text without converting it: a publisher's numbers come out as they went
// in, of any length, and nesting may be as deep as it likes.
#pragma once

#include <string>
#include <string_view>

namespace fanhorn::ctl {

// The value of the object's member of that (plain) name as it stands in `object`, which it borrows;
// "" where there is none. Of a text that is no JSON object, some part of it or "".
std::string_view raw_member(std::string_view object, std::string_view name);

} // namespace fanhorn::ctl
