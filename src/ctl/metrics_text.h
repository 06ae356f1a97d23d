// SPDX-License-Identifier: Apache-2.0
// Reads the Prometheus text format (version 0.0.4), as far as our daemon writes it: at most one
// label a sample, no time stamps.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn::ctl {

struct Sample {
    std::string name;
    std::string label; // the value of its label, or ""
    double value = 0;
};

// In their order; lines that are no samples do not count.
std::vector<Sample> parse_metrics(std::string_view text);

// 0 where there is no such sample.
double sample_value(const std::vector<Sample>& samples, std::string_view name);

// Estimates where `share` (0 to 1) of the values of a histogram lie below, taking them as evenly
// spread within each bucket, from 0 on. Infinity above the last bound, nothing without values.
std::optional<double> quantile(const std::vector<Sample>& samples, const std::string& name,
                               double share);

} // namespace fanhorn::ctl
