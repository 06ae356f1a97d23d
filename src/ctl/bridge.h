// SPDX-License-Identifier: Apache-2.0
// fanhornctl publish --from-sse and --from-ndjson: republishes what another stream gives.
#pragma once

#include "ctl/command_line.h"

namespace fanhorn::ctl {

bool is_bridge(const Arguments& arguments);
// Until the source ends or a signal comes; returns the exit code.
int bridge(const Arguments& arguments);

} // namespace fanhorn::ctl
