// SPDX-License-Identifier: Apache-2.0
#include "ctl/metrics_text.h"

#include "base/text.h"

#include <cmath>
#include <cstdlib>
#include <limits>

namespace fanhorn::ctl {

namespace {

double number(std::string_view text) { // "+Inf" too
    return std::strtod(std::string(text).c_str(), nullptr);
}

// name VALUE, or name{label="text"} VALUE.
std::optional<Sample> parse_sample(std::string_view line) {
    const size_t blank = line.rfind(' ');
    if (line.empty() || line[0] == '#' || blank == line.npos)
        return std::nullopt;
    Sample sample;
    sample.value = number(line.substr(blank + 1));
    line = line.substr(0, blank);
    sample.name = take_until(line, '{');
    const size_t begin = line.find('"');
    const size_t end = line.rfind('"');
    if (begin != end)
        sample.label = line.substr(begin + 1, end - begin - 1);
    return sample;
}

} // namespace

std::vector<Sample> parse_metrics(std::string_view text) {
    std::vector<Sample> samples;
    while (!text.empty())
        if (auto sample = parse_sample(take_until(text, '\n')))
            samples.push_back(std::move(*sample));
    return samples;
}

double sample_value(const std::vector<Sample>& samples, std::string_view name) {
    for (const Sample& sample : samples)
        if (sample.name == name)
            return sample.value;
    return 0;
}

std::optional<double> quantile(const std::vector<Sample>& samples, const std::string& name,
                               double share) {
    const double rank = sample_value(samples, name + "_count") * share;
    if (rank <= 0)
        return std::nullopt;
    double low = 0, below = 0; // the bucket before: its bound, and how many values it ends
    for (const Sample& bucket : samples) {
        if (bucket.name != name + "_bucket")
            continue;
        const double bound = number(bucket.label);
        if (bucket.value >= rank)
            return std::isinf(bound)
                       ? bound
                       : low + (bound - low) * (rank - below) / (bucket.value - below);
        low = bound;
        below = bucket.value;
    }
    return std::numeric_limits<double>::infinity();
}

} // namespace fanhorn::ctl
