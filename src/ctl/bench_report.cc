// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace fanhorn::ctl::load {

namespace {

double seconds(uint64_t ns) {
    return std::round(static_cast<double>(ns) / 1e3) / 1e6;
}

Json ratio(double over, uint64_t under) {
    if (!under)
        return nullptr;
    return std::round(over / static_cast<double>(under) * 1e4) / 1e4;
}

Json rate(uint64_t count, uint64_t ns) {
    return ns ? Json(std::round(static_cast<double>(count) * 1e10 / static_cast<double>(ns)) / 10)
              : Json(nullptr);
}

double micros(uint64_t from_ns, uint64_t to_ns) {
    return std::round((static_cast<double>(to_ns) - static_cast<double>(from_ns)) / 1e2) / 10;
}

Json latency(const Shared& shared) {
    Histogram all;
    for (const Tally& tally : shared.tallies)
        all.merge(tally.latency_ns);
    const auto us = [](uint64_t ns) { return micros(0, ns); };
    return {
        {"p50", us(all.quantile(0.5))}, {"p99", us(all.quantile(0.99))}, {"max", us(all.max())}};
}

uint64_t last_delivery_ns(const Shared& shared) {
    uint64_t last = 0;
    for (const Tally& tally : shared.tallies)
        last = std::max(last, tally.last_delivery_ns.get());
    return last;
}

void add_connections(Json& report, const Shared& shared, const Outcome& outcome) {
    const uint64_t connected = shared.sum(&Tally::connected);
    report["connected"] = connected;
    report["failed"] = shared.sum(&Tally::failed);
    report["closed"] = shared.sum(&Tally::closed);
    report["connect_seconds"] = seconds(outcome.connect_ns);
    report["connects_per_second"] = rate(connected, outcome.connect_ns);
}

void add_deliveries(Json& report, const Shared& shared, const Outcome& outcome) {
    const Published& published = outcome.published;
    const uint64_t publish_ns = published.ended_ns - published.began_ns;
    const uint64_t deliveries = shared.sum(&Tally::deliveries);
    const uint64_t last_ns = std::max(last_delivery_ns(shared), published.began_ns);
    report["published"] = published.accepted;
    report["refused"] = published.refused;
    report["publish_seconds"] = seconds(publish_ns);
    report["publishes_per_second"] = rate(published.accepted, publish_ns);
    report["deliveries"] = deliveries;
    report["expected"] = shared.sum(&Tally::expected);
    report["lost"] = shared.sum(&Tally::lost);
    report["doubled"] = shared.sum(&Tally::doubled);
    report["disordered"] = shared.sum(&Tally::disordered);
    report["seconds"] = seconds(last_ns - published.began_ns);
    report["deliveries_per_second"] = rate(deliveries, last_ns - published.began_ns);
    report["reads_per_delivery"] =
        ratio(static_cast<double>(shared.sum(&Tally::reads)), deliveries);
    report["latency_us"] = latency(shared);
}

// The benchmark's own cost, which the server's must not be mistaken for.
Json client(const Shared& shared, const Outcome& outcome) {
    const double us = micros(shared.sum(&Tally::cpu_before_ns), shared.sum(&Tally::cpu_after_ns));
    const double publisher_us = micros(0, outcome.published.cpu_ns);
    return {{"cpu_us_subscribers", us},
            {"cpu_us_publisher", publisher_us},
            {"cpu_us_per_delivery", ratio(us, shared.sum(&Tally::deliveries))},
            {"cpu_us_per_publish", ratio(publisher_us, outcome.published.accepted)}};
}

Json server(const Shared& shared, const Outcome& outcome) {
    const Usage &before = outcome.before, &held = outcome.held, &after = outcome.after;
    const double connect_us = micros(before.cpu_ns, outcome.connected.cpu_ns);
    const double run_us = micros(held.cpu_ns, after.cpu_ns);
    const uint64_t connections = shared.sum(&Tally::connected);
    return {{"cpu_us_connect", connect_us},
            {"cpu_us_hold", micros(outcome.connected.cpu_ns, held.cpu_ns)},
            {"hold_seconds", seconds(held.at_ns - outcome.connected.at_ns)},
            {"cpu_us_run", run_us},
            {"cpu_us_per_connect", ratio(connect_us, connections)},
            {"cpu_us_per_delivery", ratio(run_us, shared.sum(&Tally::deliveries))},
            {"cpu_us_per_publish", ratio(run_us, outcome.published.accepted)},
            {"user_bytes_before", before.user_bytes},
            {"user_bytes_connected", held.user_bytes},
            {"user_bytes_after", after.user_bytes},
            {"user_bytes_per_connection",
             ratio(static_cast<double>(held.user_bytes) - static_cast<double>(before.user_bytes),
                   connections)}};
}

Json bytes(const std::optional<uint64_t>& count) {
    return count ? Json(*count) : Json(nullptr);
}

Json kernel(const Outcome& outcome) {
    return {{"server_tcp_bytes_connected", bytes(outcome.held.server_tcp_bytes)},
            {"server_tcp_bytes_after", bytes(outcome.after.server_tcp_bytes)},
            {"tcp_bytes_before", outcome.before.tcp_bytes},
            {"tcp_bytes_connected", outcome.held.tcp_bytes},
            {"tcp_bytes_after", outcome.after.tcp_bytes},
            {"slab_bytes_before", outcome.before.slab_bytes},
            {"slab_bytes_connected", outcome.held.slab_bytes},
            {"slab_bytes_after", outcome.after.slab_bytes}};
}

std::string value_text(const Json& value) {
    if (value.is_number_float())
        return fmt::format("{:.2f}", value.get<double>());
    return value.is_null() ? "-" : value.dump();
}

} // namespace

Json make_report(const Plan& plan, const Shared& shared, const Outcome& outcome) {
    Json report;
    add_connections(report, shared, outcome);
    add_deliveries(report, shared, outcome);
    report["client"] = client(shared, outcome);
    if (!plan.pids.empty()) {
        report["server"] = server(shared, outcome);
        report["kernel"] = kernel(outcome);
    }
    return report;
}

std::vector<std::string> table_rows(const Json& report) {
    std::vector<std::string> rows;
    for (const auto& [name, value] : report.items()) {
        if (!value.is_object()) {
            rows.push_back(fmt::format("{:<34} {:>18}", name, value_text(value)));
            continue;
        }
        for (const auto& [part, number] : value.items())
            rows.push_back(
                fmt::format("{:<34} {:>18}", fmt::format("{} {}", name, part), value_text(number)));
    }
    return rows;
}

bool is_clean(const Json& report) {
    const auto counts = {"failed", "closed", "refused", "lost", "doubled", "disordered"};
    return std::all_of(counts.begin(), counts.end(),
                       [&](const char* count) { return number_member(report, count) == 0; });
}

} // namespace fanhorn::ctl::load
