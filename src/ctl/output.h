// SPDX-License-Identifier: Apache-2.0
// What goes to the person or the script that reads us.
#pragma once

#include <string>
#include <string_view>

namespace fanhorn::ctl {

// The text as one line: line ends become \n and \r. For a terminal, whatever it could take for a
// command (C0, DEL, C1 in UTF-8 or alone) becomes \xHH too: strangers publish.
std::string one_line(std::string_view text, bool for_terminal);

// That line on standard output, at once. False when it could not be written: output_code() says
// how to end then.
bool print_line(std::string_view text);
// kOk where nobody reads any more (`| head -1`): that is no failure. kFailed else, and the reason
// has been told.
int output_code();

// "fanhornctl: TEXT" on standard error.
void warn(std::string_view text);
// The same; kFailed.
int fail(std::string_view text);

} // namespace fanhorn::ctl
