// SPDX-License-Identifier: Apache-2.0
// What a benchmark found, for a person or a program.
#pragma once

#include "ctl/bench_account.h"
#include "ctl/bench_counters.h"
#include "ctl/bench_options.h"
#include "ctl/bench_publisher.h"
#include "ctl/json.h"

#include <string>
#include <vector>

namespace fanhorn::ctl::load {

struct Outcome {
    uint64_t connect_ns = 0;
    Published published;
    Usage before, connected, held, after;
};

// The object of --json. Rates and costs are null where there was nothing to divide by.
Json make_report(const Plan& plan, const Shared& shared, const Outcome& outcome);
// Its members as rows.
std::vector<std::string> table_rows(const Json& report);
// Nothing lost, doubled, disordered or refused, and every connection was made and stayed.
bool is_clean(const Json& report);

} // namespace fanhorn::ctl::load
