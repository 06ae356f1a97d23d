// SPDX-License-Identifier: Apache-2.0
// The commands of fanhornctl.
#pragma once

#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/output.h"

namespace fanhorn::ctl {

// Each returns the exit code.
int publish(const Arguments& arguments);
int subscribe(const Arguments& arguments);
int channels(const Arguments& arguments);
int channel(const Arguments& arguments);
int stats(const Arguments& arguments);
int bench(const Arguments& arguments);

} // namespace fanhorn::ctl
