// SPDX-License-Identifier: Apache-2.0
// What the daemon says of its channels and of itself.
#include "base/text.h"
#include "ctl/commands.h"
#include "ctl/json.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace fanhorn::ctl {

namespace {

Result<Response> get(const Arguments& arguments, std::string target) {
    Request request;
    request.target = std::move(target);
    return ask(arguments.url, request);
}

std::string last_id(const Json& facts) {
    const std::string id = text_member(facts, "last");
    return id.empty() ? "-" : id;
}

std::string row(const Json& facts) {
    const Json none = Json::object();
    const Json& subscribers = facts.contains("subscribers") ? facts["subscribers"] : none;
    return fmt::format("{:>9} {:>6} {:>8} {:>8}  {:<22} {}",
                       number_member(subscribers, "websocket"), number_member(subscribers, "sse"),
                       number_member(subscribers, "longpoll"), number_member(facts, "messages"),
                       last_id(facts), text_member(facts, "channel"));
}

// Samples of a Prometheus text by "name" or "name{labels}".
using Samples = std::map<std::string, double, std::less<>>;

Samples parse_metrics(std::string_view text) {
    Samples samples;
    while (!text.empty()) {
        const std::string_view line = take_until(text, '\n');
        const size_t blank = line.rfind(' ');
        if (!line.empty() && line[0] != '#' && blank != line.npos)
            samples[std::string(line.substr(0, blank))] =
                std::strtod(std::string(line.substr(blank + 1)).c_str(), nullptr);
    }
    return samples;
}

double sample(const Samples& samples, std::string_view name) {
    const auto found = samples.find(name);
    return found == samples.end() ? 0 : found->second;
}

// The upper bound of the bucket in which that share of a histogram's values lies.
std::string quantile(const Samples& samples, const std::string& name, double share) {
    const double wanted = sample(samples, name + "_count") * share;
    double best = std::numeric_limits<double>::infinity();
    for (const auto& [key, count] : samples) {
        const std::string prefix = name + "_bucket{le=\"";
        if (!key.starts_with(prefix) || count < wanted)
            continue;
        const double bound = std::strtod(key.c_str() + prefix.size(), nullptr); // "+Inf" too
        best = std::min(best, bound);
    }
    return wanted == 0        ? "-"
           : std::isinf(best) ? "over 4 s"
                              : fmt::format("up to {:.3f} ms", best * 1000);
}

bool print_counts(const Samples& samples, std::string_view title, std::string_view name) {
    for (const auto& [key, value] : samples) {
        if (!key.starts_with(std::string(name) + "{") || value == 0)
            continue;
        const size_t quote = key.find('"');
        const std::string label = key.substr(quote + 1, key.rfind('"') - quote - 1);
        if (!print_line(fmt::format("{:<22} {:>14.0f}", fmt::format("{} {}", title, label), value)))
            return false;
    }
    return true;
}

} // namespace

int channels(const Arguments& arguments) {
    Json all = Json::array();
    std::string cursor;
    do {
        std::string target =
            "/channels?limit=1000&prefix=" + percent_encode(arguments.option("prefix"));
        if (!cursor.empty())
            target += "&cursor=" + percent_encode(cursor);
        const auto response = get(arguments, target);
        if (!response)
            return fail(response.error());
        const auto page = parse_json(response->body);
        if (!response->ok() || !page || !page->contains("channels"))
            return fail(problem_text(*response));
        for (const Json& facts : (*page)["channels"])
            all.push_back(facts);
        const std::string next = text_member(*page, "cursor");
        if (next == cursor && !next.empty())
            return fail("the list of channels does not end");
        cursor = next;
    } while (!cursor.empty());

    if (arguments.has("json"))
        return print_line(Json{{"channels", std::move(all)}}.dump()) ? kOk : output_code();
    if (!print_line("websocket    sse longpoll messages  last                   channel"))
        return output_code();
    for (const Json& facts : all)
        if (!print_line(row(facts)))
            return output_code();
    return kOk;
}

int channel(const Arguments& arguments) {
    const auto response = get(arguments, "/pub/" + percent_encode(arguments.operands[0]));
    if (!response)
        return fail(response.error());
    if (!response->ok())
        return fail(problem_text(*response));
    const auto facts = parse_json(response->body);
    if (!facts)
        return fail("the answer is not JSON");
    if (arguments.has("json"))
        return print_line(facts->dump()) ? kOk : output_code();
    for (const auto& [name, value] : facts->items())
        if (!print_line(fmt::format("{:<12} {}", name,
                                    value.is_string() ? value.get<std::string>() : value.dump())))
            return output_code();
    return kOk;
}

int stats(const Arguments& arguments) {
    const auto response = get(arguments, "/metrics");
    if (!response)
        return fail(response.error());
    if (!response->ok())
        return fail(problem_text(*response));
    const Samples samples = parse_metrics(response->body);
    static constexpr std::pair<const char*, const char*> kRows[] = {
        {"uptime, seconds", "fanhorn_uptime_seconds"},
        {"workers", "fanhorn_workers"},
        {"channels", "fanhorn_channels"},
        {"memory, bytes", "process_resident_memory_bytes"},
        {"descriptors", "process_open_fds"},
        {"accepted", "fanhorn_accepted_total"},
        {"requests", "fanhorn_requests_total"},
        {"published", "fanhorn_published_total"},
        {"of these by clients", "fanhorn_client_published_total"},
        {"bytes sent", "fanhorn_sent_bytes_total"},
        {"bytes received", "fanhorn_received_bytes_total"}};
    for (const auto& [title, name] : kRows)
        if (!print_line(fmt::format("{:<22} {:>14.0f}", title, sample(samples, name))))
            return output_code();
    const bool is_read = print_counts(samples, "connections", "fanhorn_connections") &&
                         print_counts(samples, "delivered", "fanhorn_deliveries_total") &&
                         print_counts(samples, "gaps", "fanhorn_gaps_total") &&
                         print_counts(samples, "slow,", "fanhorn_evictions_total") &&
                         print_counts(samples, "limit", "fanhorn_limit_hits_total");
    if (!is_read)
        return output_code();
    for (const auto& [title, name] : {std::pair{"mailbox", "fanhorn_mailbox_seconds"},
                                      std::pair{"flush", "fanhorn_flush_seconds"}})
        if (!print_line(fmt::format("{:<22} half {}, 99 % {}", title, quantile(samples, name, 0.5),
                                    quantile(samples, name, 0.99))))
            return output_code();
    return kOk;
}

} // namespace fanhorn::ctl
