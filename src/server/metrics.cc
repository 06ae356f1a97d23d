// SPDX-License-Identifier: Apache-2.0
#include "server/metrics.h"

#include "base/text.h"

#include <functional>

namespace fanhorn {

namespace {

class Exposition {
  public:
    explicit Exposition(std::span<const Counters* const> workers) : workers_(workers) {}

    void family(std::string_view name, std::string_view type, std::string_view help) {
        out.append("# HELP ").append(name).append(" ").append(help);
        out.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
    }
    void sample(std::string_view name, std::string_view labels, uint64_t value) {
        out.append(name).append(labels).append(" ");
        append_number(out, value);
        out += '\n';
    }
    void single(std::string_view name, std::string_view type, std::string_view help,
                uint64_t value) {
        family(name, type, help);
        sample(name, "", value);
    }
    // A counter of all workers together.
    template <typename Pick> uint64_t sum(Pick pick) const {
        uint64_t total = 0;
        for (const Counters* each : workers_)
            total += pick(*each).value();
        return total;
    }
    template <typename Pick> void counter(std::string_view name, std::string_view help, Pick pick) {
        single(name, "counter", help, sum(pick));
    }
    // One sample for each of `count` values of a label.
    template <typename Name, typename Pick>
    void labelled(std::string_view name, std::string_view type, std::string_view help,
                  std::string_view label, size_t count, Name label_value, Pick pick) {
        family(name, type, help);
        for (size_t i = 0; i < count; ++i) {
            std::string labels = "{";
            labels.append(label).append("=\"").append(label_value(i)).append("\"}");
            sample(name, labels,
                   sum([&](const Counters& each) -> const Counter& { return pick(each, i); }));
        }
    }
    void histogram(std::string_view name, std::string_view help,
                   const DurationHistogram& (*pick)(const Counters&));

    std::string out;

  private:
    std::span<const Counters* const> workers_;
};

std::string seconds(uint64_t micros) {
    std::string text = std::to_string(micros / 1'000'000);
    std::string fraction = std::to_string(micros % 1'000'000);
    fraction.insert(0, 6 - fraction.size(), '0');
    return text + '.' + fraction;
}

void Exposition::histogram(std::string_view name, std::string_view help,
                           const DurationHistogram& (*pick)(const Counters&)) {
    family(name, "histogram", help);
    uint64_t total = 0;
    for (size_t i = 0; i < DurationHistogram::kBuckets; ++i) {
        total += sum([&](const Counters& each) -> const Counter& { return pick(each).buckets[i]; });
        const bool is_last = i + 1 == DurationHistogram::kBuckets;
        const std::string bound = is_last ? "+Inf" : seconds(DurationHistogram::bound_micros(i));
        sample(std::string(name) + "_bucket", "{le=\"" + bound + "\"}", total);
    }
    const uint64_t micros =
        sum([&](const Counters& each) -> const Counter& { return pick(each).sum_micros; });
    out.append(name).append("_sum ").append(seconds(micros)).append("\n");
    sample(std::string(name) + "_count", "", total);
}

std::string_view use_label(size_t i) {
    return use_name(static_cast<Use>(i));
}
std::string_view gap_label(size_t i) {
    return gap_reason(static_cast<Gap::Why>(i));
}
std::string_view limit_label(size_t i) {
    return limit_name(static_cast<Limit>(i));
}
std::string_view refusal_label(size_t i) {
    return auth_refusal_name(static_cast<AuthRefusal>(i));
}
std::string_view policy_label(size_t i) {
    static constexpr std::string_view kNames[] = {"gap", "latest", "disconnect"};
    return kNames[i];
}

} // namespace

std::string metrics_text(std::span<const Counters* const> workers, const ProcessFacts& facts) {
    Exposition all(workers);
    all.family("fanhorn_build_info", "gauge", "Always 1; the version is a label.");
    all.sample("fanhorn_build_info", "{version=\"" FANHORN_VERSION "\"}", 1);
    all.single("fanhorn_uptime_seconds", "gauge", "Since the start.", facts.uptime_s);
    all.single("fanhorn_workers", "gauge", "Event loops.", facts.workers);
    all.single("fanhorn_draining", "gauge", "1 while QUIT closes connections.", facts.is_draining);
    all.single("fanhorn_reloads_total", "counter", "Configurations taken over.", facts.reloads);
    all.single("fanhorn_channels", "gauge",
               "Channels with history, a retained value or subscribers.", facts.channels);
    all.single("process_resident_memory_bytes", "gauge", "Resident memory.", facts.resident_bytes);
    all.single("process_open_fds", "gauge", "Open file descriptors.", facts.descriptors);

    all.labelled("fanhorn_connections", "gauge", "Open connections by what they are used for.",
                 "transport", kUses, use_label,
                 [](const Counters& c, size_t i) -> const Counter& { return c.connections[i]; });
    all.labelled("fanhorn_deliveries_total", "counter", "Messages written to subscribers.",
                 "transport", kUses - 1, use_label,
                 [](const Counters& c, size_t i) -> const Counter& { return c.deliveries[i]; });
    all.counter("fanhorn_accepted_total", "Connections accepted.",
                [](const Counters& c) -> const Counter& { return c.accepted; });
    all.counter("fanhorn_requests_total", "HTTP requests answered or upgraded.",
                [](const Counters& c) -> const Counter& { return c.requests; });
    all.counter("fanhorn_sent_bytes_total", "Bytes written to sockets.",
                [](const Counters& c) -> const Counter& { return c.sent_bytes; });
    all.counter("fanhorn_received_bytes_total", "Bytes read from sockets.",
                [](const Counters& c) -> const Counter& { return c.received_bytes; });
    all.counter("fanhorn_published_total", "Messages published.",
                [](const Counters& c) -> const Counter& { return c.published; });
    all.counter("fanhorn_client_published_total", "Of these, by subscribers.",
                [](const Counters& c) -> const Counter& { return c.client_published; });
    all.counter("fanhorn_commands_total", "Commands of fanhorn.v1.",
                [](const Counters& c) -> const Counter& { return c.commands; });
    all.counter("fanhorn_command_errors_total", "Of these, answered with an error.",
                [](const Counters& c) -> const Counter& { return c.command_errors; });
    all.labelled("fanhorn_gaps_total", "counter", "Gaps told to readers.", "why", kGapReasons,
                 gap_label,
                 [](const Counters& c, size_t i) -> const Counter& { return c.gaps[i]; });
    all.labelled("fanhorn_evictions_total", "counter", "Slow consumers met, by policy.", "policy",
                 3, policy_label,
                 [](const Counters& c, size_t i) -> const Counter& { return c.evictions[i]; });
    all.labelled("fanhorn_limit_hits_total", "counter", "Times a limit was reached.", "limit",
                 kLimits, limit_label,
                 [](const Counters& c, size_t i) -> const Counter& { return c.limit_hits[i]; });
    all.labelled("fanhorn_auth_refused_total", "counter", "Requests whose token was not enough.",
                 "why", kAuthRefusals, refusal_label,
                 [](const Counters& c, size_t i) -> const Counter& { return c.auth_refused[i]; });
    all.counter("fanhorn_tokens_expired_total", "Connections ended because their token expired.",
                [](const Counters& c) -> const Counter& { return c.tokens_expired; });
    all.histogram("fanhorn_mailbox_seconds", "From a broker to its worker.",
                  [](const Counters& c) -> const DurationHistogram& { return c.mailbox; });
    all.histogram("fanhorn_flush_seconds", "One turn's flush to subscribers.",
                  [](const Counters& c) -> const DurationHistogram& { return c.flush; });
    return std::move(all.out);
}

} // namespace fanhorn
