// SPDX-License-Identifier: Apache-2.0
// The daemon's metrics for a person, or as JSON.
#include "base/text.h"
#include "ctl/commands.h"
#include "ctl/metrics_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace fanhorn::ctl {

namespace {

using Samples = std::vector<Sample>;

// Each `print_` is false when the output cannot be written any more.
bool print_row(std::string_view title, std::string_view value) {
    return print_line(fmt::format("{:<26} {:>16}", title, value));
}

std::string uptime_text(double seconds) {
    const auto s = static_cast<uint64_t>(seconds);
    return fmt::format("{}d {:02}:{:02}:{:02}", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
}

bool print_process(const Samples& samples) {
    struct Row {
        const char *title, *name;
    };
    static constexpr Row kRows[] = {{"workers", "fanhorn_workers"},
                                    {"channels", "fanhorn_channels"},
                                    {"subscriptions", "fanhorn_subscriptions"},
                                    {"stopped readers", "fanhorn_stalled"},
                                    {"memory, bytes", "process_resident_memory_bytes"},
                                    {"descriptors", "process_open_fds"},
                                    {"accepted", "fanhorn_accepted_total"},
                                    {"requests", "fanhorn_requests_total"},
                                    {"published", "fanhorn_published_total"},
                                    {"of these by clients", "fanhorn_client_published_total"},
                                    {"bytes sent", "fanhorn_sent_bytes_total"},
                                    {"bytes received", "fanhorn_received_bytes_total"}};
    for (const Sample& sample : samples)
        if (sample.name == "fanhorn_build_info" && !print_row("version", sample.label))
            return false;
    if (!print_row("uptime", uptime_text(sample_value(samples, "fanhorn_uptime_seconds"))))
        return false;
    return std::all_of(std::begin(kRows), std::end(kRows), [&](const Row& row) {
        return print_row(row.title, fmt::format("{:.0f}", sample_value(samples, row.name)));
    });
}

// A row for each label.
bool print_family(const Samples& samples, std::string_view title, std::string_view name,
                  bool with_zeros) {
    for (const Sample& sample : samples) {
        if (sample.name != name || (sample.value == 0 && !with_zeros))
            continue;
        if (!print_row(fmt::format("{}, {}", title, sample.label),
                       fmt::format("{:.0f}", sample.value)))
            return false;
    }
    return true;
}

std::string quantile_text(const Samples& samples, const std::string& name, double share) {
    const auto seconds = quantile(samples, name, share);
    return !seconds               ? "-"
           : std::isinf(*seconds) ? "above all buckets"
                                  : fmt::format("{:.3f} ms", *seconds * 1000);
}

bool print_times(const Samples& samples, const std::string& title, const std::string& name) {
    return print_row(title + ", p50", quantile_text(samples, name, 0.5)) &&
           print_row(title + ", p99", quantile_text(samples, name, 0.99));
}

bool print_table(const Samples& samples) {
    return print_process(samples) &&
           print_family(samples, "connections", "fanhorn_connections", true) &&
           print_family(samples, "delivered", "fanhorn_deliveries_total", true) &&
           print_family(samples, "gaps", "fanhorn_gaps_total", false) &&
           print_family(samples, "slow readers", "fanhorn_evictions_total", false) &&
           print_family(samples, "limit", "fanhorn_limit_hits_total", false) &&
           print_times(samples, "mailbox", "fanhorn_mailbox_seconds") &&
           print_times(samples, "flush", "fanhorn_flush_seconds");
}

// {"NAME":VALUE,...,"NAME":{"LABEL":VALUE,...},...}: samples of one name stand together.
std::string json_text(const Samples& samples) {
    std::string out = "{";
    for (size_t i = 0; i < samples.size(); ++i) {
        const Sample& sample = samples[i];
        const bool is_first = i == 0 || samples[i - 1].name != sample.name;
        const bool is_last = i + 1 == samples.size() || samples[i + 1].name != sample.name;
        if (is_first) {
            append_json_string(out, sample.name);
            out += sample.label.empty() ? ":" : ":{";
        }
        if (!sample.label.empty()) {
            append_json_string(out, sample.label);
            out += ':';
        }
        out += std::isfinite(sample.value) ? fmt::format("{}", sample.value) : "null";
        out += is_last && !sample.label.empty() ? "}" : "";
        out += i + 1 < samples.size() ? "," : "";
    }
    return out + '}';
}

} // namespace

int stats(const Arguments& arguments) {
    Request request;
    request.target = "/metrics";
    const auto response = ask(arguments.daemon, request);
    if (!response)
        return fail(response.error());
    if (!response->ok())
        return fail(problem_text(*response));
    const Samples samples = parse_metrics(response->body);
    const bool is_printed =
        arguments.has("json") ? print_line(json_text(samples)) : print_table(samples);
    return is_printed ? kOk : output_code();
}

} // namespace fanhorn::ctl
