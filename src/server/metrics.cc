// SPDX-License-Identifier: Apache-2.0
#include "server/metrics.h"

#include "base/text.h"
#include "net/tls.h"
#include "server/process.h"

#include <span>

namespace fanhorn {

namespace {

// What all workers and brokers have counted together.
struct Totals final : Counters {
    explicit Totals(std::span<const Counters* const> all) {
        for (const Counters* each : all)
            add(*each);
    }
};

// What nobody counts.
struct Facts {
    explicit Facts(const Shared& shared);
    uint64_t channels = 0, uptime_ms = 0, resident_bytes = 0, descriptors = 0, reloads = 0;
    bool is_draining = false;
};

Facts::Facts(const Shared& shared)
    : uptime_ms(static_cast<uint64_t>(monotonic_micros() - shared.started_micros) / 1000),
      resident_bytes(shared.memory.measure().resident), descriptors(open_descriptors()),
      reloads(shared.reloads.load(std::memory_order_relaxed)),
      is_draining(shared.is_draining.load(std::memory_order_relaxed)) {
    for (const auto& named : shared.brokers)
        channels += named->broker->channel_count();
    if (shared.descriptors == Descriptors::Worker) // those are in other tables than what it reads
        descriptors += shared.connections.load(std::memory_order_relaxed);
}

using LabelName = std::string_view (*)(size_t);

class Exposition {
  public:
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
    void counter(std::string_view name, std::string_view help, const Counter& value) {
        single(name, "counter", help, value.value());
    }
    // One sample for each value of a label.
    void labelled(std::string_view name, std::string_view type, std::string_view help,
                  std::string_view label, LabelName label_value, std::span<const Counter> values) {
        family(name, type, help);
        for (size_t i = 0; i < values.size(); ++i) {
            std::string labels = "{";
            labels.append(label).append("=\"").append(label_value(i)).append("\"}");
            sample(name, labels, values[i].value());
        }
    }
    void histogram(std::string_view name, std::string_view help, const DurationHistogram& values);
    void certificates(const std::vector<TlsSection>& sections);
    void hooks(const std::vector<HookFigures>& sections);

    std::string out;
};

// Nothing where there are none.
void Exposition::hooks(const std::vector<HookFigures>& sections) {
    const auto one = [&](std::string_view name, std::string_view type, std::string_view help,
                         auto value) {
        family(name, type, help);
        for (const HookFigures& each : sections)
            sample(name, "{hooks=\"" + each.name + "\"}", value(each));
    };
    if (sections.empty())
        return;
    one("fanhorn_hook_events_total", "counter", "Events of a [hooks] section.",
        [](const HookFigures& each) { return each.raised; });
    one("fanhorn_hook_events_delivered_total", "counter", "Those that its application has.",
        [](const HookFigures& each) { return each.taken; });
    one("fanhorn_hook_events_waiting", "gauge", "Those that it has not yet.",
        [](const HookFigures& each) { return each.events; });
    one("fanhorn_hook_bytes_waiting", "gauge", "Their bytes.",
        [](const HookFigures& each) { return each.bytes; });
    one("fanhorn_hook_requests_total", "counter", "Requests to it.",
        [](const HookFigures& each) { return each.requests; });
    one("fanhorn_hook_request_failures_total", "counter", "Those that it did not answer with 2xx.",
        [](const HookFigures& each) { return each.failures; });
    const std::string_view dropped = "fanhorn_hook_events_dropped_total";
    family(dropped, "counter", "Events dropped, by the bound that was reached.");
    for (const HookFigures& each : sections)
        for (size_t i = 0; i < HookQueue::kDrops; ++i)
            sample(dropped,
                   "{hooks=\"" + each.name + "\",bound=\"" + std::string(HookQueue::drop_name(i)) +
                       "\"}",
                   each.dropped[i]);
}

// A JSON object of numbers.
class Figures {
  public:
    void name(std::string_view name) {
        out.append(out.ends_with('{') ? "\"" : ",\"").append(name).append("\":");
    }
    void number(std::string_view key, uint64_t value) {
        name(key);
        append_number(out, value);
    }
    void number(std::string_view key, const Counter& value) { number(key, value.value()); }
    void labelled(std::string_view key, LabelName label, std::span<const Counter> values) {
        name(key);
        out += '{';
        for (size_t i = 0; i < values.size(); ++i)
            number(label(i), values[i]);
        out += '}';
    }

    std::string out = "{";
};

std::string seconds(uint64_t micros) {
    std::string text = std::to_string(micros / 1'000'000);
    std::string fraction = std::to_string(micros % 1'000'000);
    fraction.insert(0, 6 - fraction.size(), '0');
    return text + '.' + fraction;
}

void Exposition::histogram(std::string_view name, std::string_view help,
                           const DurationHistogram& values) {
    family(name, "histogram", help);
    uint64_t total = 0;
    for (size_t i = 0; i < DurationHistogram::kBuckets; ++i) {
        total += values.buckets[i].value();
        const bool is_last = i + 1 == DurationHistogram::kBuckets;
        const std::string bound = is_last ? "+Inf" : seconds(DurationHistogram::bound_micros(i));
        sample(std::string(name) + "_bucket", "{le=\"" + bound + "\"}", total);
    }
    out.append(name).append("_sum ").append(seconds(values.sum_micros.value())).append("\n");
    sample(std::string(name) + "_count", "", total);
}

// A label's value, as the format has it; what no line can hold is left out.
std::string label_text(std::string_view text) {
    std::string escaped;
    for (const char byte : text) {
        if (byte == '"' || byte == '\\')
            escaped += '\\';
        if (static_cast<unsigned char>(byte) >= ' ')
            escaped += byte;
    }
    return escaped;
}

void Exposition::certificates(const std::vector<TlsSection>& sections) {
    if (sections.empty())
        return;
    const int64_t now = wall_millis() / 1000;
    family("fanhorn_tls_certificate_expiry_seconds", "gauge",
           "Until a certificate expires; below 0 from then on.");
    for (const TlsSection& section : sections) {
        const auto& certificates = section.context->certificates();
        for (size_t i = 0; i < certificates.size(); ++i)
            out += "fanhorn_tls_certificate_expiry_seconds{tls=\"" + section.name + "\",file=\"" +
                   label_text(section.certificates[i]) + "\",subject=\"" +
                   label_text(certificates[i].subject) + "\"} " +
                   std::to_string(certificates[i].not_after - now) + '\n';
    }
}

std::string_view success_label(size_t i) {
    return handshake_end_name(static_cast<HandshakeEnd>(i));
}
std::string_view failure_label(size_t i) {
    return success_label(kHandshakeSuccesses + i);
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
std::string_view shed_label(size_t i) {
    return shed_name(static_cast<Shed>(i));
}
std::string_view refusal_label(size_t i) {
    return auth_refusal_name(static_cast<AuthRefusal>(i));
}
std::string_view peer_label(size_t i) {
    return peer_refusal_name(static_cast<PeerRefusal>(i));
}
std::string_view policy_label(size_t i) {
    static constexpr std::string_view kNames[] = {"gap", "latest", "disconnect"};
    return kNames[i];
}

// Plain HTTP delivers nothing.
std::span<const Counter> transports(std::span<const Counter> uses) {
    return uses.first(kUses - 1);
}

} // namespace

std::string metrics_text(const Shared& shared, const Config& config) {
    const Totals totals(shared.counters);
    const Facts facts(shared);
    Exposition all;
    all.family("fanhorn_build_info", "gauge", "Always 1; the version is a label.");
    all.sample("fanhorn_build_info", "{version=\"" FANHORN_VERSION "\"}", 1);
    all.single("fanhorn_uptime_seconds", "gauge", "Since the start.", facts.uptime_ms / 1000);
    all.single("fanhorn_workers", "gauge", "Event loops.", shared.workers);
    all.single("fanhorn_draining", "gauge", "1 while QUIT closes connections.", facts.is_draining);
    all.single("fanhorn_reloads_total", "counter", "Configurations taken over.", facts.reloads);
    all.family("fanhorn_upgrades_total", "counter",
               "Times that another process was to take the place, by how it ended; of this process "
               "and of those before it.");
    for (size_t i = 0; i < kUpgradeEnds; ++i)
        all.sample("fanhorn_upgrades_total",
                   "{result=\"" + std::string(upgrade_end_name(static_cast<UpgradeEnd>(i))) + "\"}",
                   shared.upgrades[i].load(std::memory_order_relaxed));
    all.single("fanhorn_handed_connections", "gauge",
               "Connections that this process got when it took another one's place.",
               shared.handed_connections.load(std::memory_order_relaxed));
    all.family("fanhorn_handed_freeze_seconds", "gauge", "For so long nobody served them then.");
    all.out.append("fanhorn_handed_freeze_seconds ")
        .append(seconds(static_cast<uint64_t>(shared.freeze_micros)))
        .append("\n");
    all.single("fanhorn_channels", "gauge",
               "Channels with history, a retained value or subscribers.", facts.channels);
    all.single("process_resident_memory_bytes", "gauge", "Resident memory.", facts.resident_bytes);
    all.single("fanhorn_memory_bytes", "gauge", "What counts for the memory budget.",
               shared.memory.used());
    all.single("fanhorn_memory_budget_bytes", "gauge", "What 'memory' in [limits] allows.",
               shared.memory.budget());
    all.single("fanhorn_memory_level", "gauge",
               "0: all is well; 1: no new subscriptions, 2: readers are closed, 3: no publishes.",
               static_cast<uint64_t>(shared.memory.level()));
    all.single("process_open_fds", "gauge", "Open file descriptors.", facts.descriptors);

    all.labelled("fanhorn_connections", "gauge", "Open connections by what they are used for.",
                 "transport", use_label, totals.connections);
    all.single("fanhorn_subscriptions", "gauge", "Channels of all live subscribers together.",
               totals.subscriptions.value());
    all.single("fanhorn_stalled", "gauge", "Subscribers whose socket is full.",
               totals.stalled.value());
    all.labelled("fanhorn_deliveries_total", "counter", "Messages written to subscribers.",
                 "transport", use_label, transports(totals.deliveries));
    all.counter("fanhorn_accepted_total", "Connections accepted.", totals.accepted);
    all.counter("fanhorn_requests_total", "HTTP requests answered or upgraded.", totals.requests);
    all.counter("fanhorn_sent_bytes_total", "Bytes written to sockets.", totals.sent_bytes);
    all.counter("fanhorn_received_bytes_total", "Bytes read from sockets.", totals.received_bytes);
    all.counter("fanhorn_published_total", "Messages published.", totals.published);
    all.counter("fanhorn_client_published_total", "Of these, by subscribers.",
                totals.client_published);
    all.counter("fanhorn_commands_total", "Commands of fanhorn.v1.", totals.commands);
    all.counter("fanhorn_command_errors_total", "Of these, answered with an error.",
                totals.command_errors);
    all.labelled("fanhorn_gaps_total", "counter", "Gaps told to readers.", "why", gap_label,
                 totals.gaps);
    all.labelled("fanhorn_evictions_total", "counter", "Slow consumers met, by policy.", "policy",
                 policy_label, totals.evictions);
    all.labelled("fanhorn_limit_hits_total", "counter", "Times a limit was reached.", "limit",
                 limit_label, totals.limit_hits);
    all.labelled("fanhorn_memory_shed_total", "counter", "What was not done for want of memory.",
                 "what", shed_label, totals.memory_shed);
    all.labelled("fanhorn_auth_refused_total", "counter", "Requests whose token was not enough.",
                 "why", refusal_label, totals.auth_refused);
    all.labelled("fanhorn_peers_refused_total", "counter",
                 "Connections and requests refused for where they came from.", "why", peer_label,
                 totals.peers_refused);
    all.counter("fanhorn_tokens_expired_total", "Connections ended because their token expired.",
                totals.tokens_expired);
    const std::span<const Counter> handshakes = totals.handshakes;
    all.labelled("fanhorn_tls_handshakes_total", "counter", "TLS handshakes that were done.",
                 "kind", success_label, handshakes.first(kHandshakeSuccesses));
    all.labelled("fanhorn_tls_handshake_failures_total", "counter", "Those that were not.", "why",
                 failure_label, handshakes.subspan(kHandshakeSuccesses));
    all.single("fanhorn_tls_handshakes_waiting", "gauge", "Those that wait for their turn.",
               totals.handshakes_waiting.value());
    all.single("fanhorn_http2_connections", "gauge", "Connections that speak HTTP/2.",
               totals.http2_connections.value());
    all.counter("fanhorn_http2_streams_total", "Streams that they opened.", totals.http2_streams);
    all.certificates(config.tls);
    all.family("fanhorn_broker_up", "gauge", "Whether what is behind a broker answers.");
    for (const auto& named : shared.brokers)
        all.sample("fanhorn_broker_up", "{broker=\"" + named->name + "\"}", named->broker->is_up());
    all.single("fanhorn_log_bytes", "gauge", "Logs of brokers with a path, on the disk.",
               totals.log_bytes.value());
    all.counter("fanhorn_log_errors_total", "Times that the disk of a log failed.",
                totals.log_errors);
    all.counter("fanhorn_log_refused_total", "Publishes that could not be stored.",
                totals.log_refused);
    all.counter("fanhorn_log_checkpoints_total", "Times that a log was written anew.",
                totals.log_checkpoints);
    all.histogram("fanhorn_log_commit_seconds", "A group of publishes, until it was stored.",
                  totals.log_commit);
    all.hooks(shared.hooks.figures());
    all.histogram("fanhorn_mailbox_seconds", "From a broker to its worker.", totals.mailbox);
    all.histogram("fanhorn_flush_seconds", "One turn's flush to subscribers.", totals.flush);
    return std::move(all.out);
}

std::string metrics_json(const Shared& shared) {
    const Totals totals(shared.counters);
    const Facts facts(shared);
    Figures all;
    all.name("version");
    append_json_string(all.out, FANHORN_VERSION);
    all.number("time", static_cast<uint64_t>(wall_millis()));
    all.number("uptime", facts.uptime_ms);
    all.number("workers", shared.workers);
    all.number("draining", facts.is_draining);
    all.number("channels", facts.channels);
    all.number("memory", facts.resident_bytes);
    all.number("descriptors", facts.descriptors);
    all.labelled("connections", use_label, totals.connections);
    all.number("subscriptions", totals.subscriptions);
    all.number("stalled", totals.stalled);
    all.labelled("deliveries", use_label, transports(totals.deliveries));
    all.number("accepted", totals.accepted);
    all.number("requests", totals.requests);
    all.number("sent", totals.sent_bytes);
    all.number("received", totals.received_bytes);
    all.number("published", totals.published);
    all.number("client_published", totals.client_published);
    all.number("commands", totals.commands);
    all.number("command_errors", totals.command_errors);
    all.number("tokens_expired", totals.tokens_expired);
    all.labelled("gaps", gap_label, totals.gaps);
    all.labelled("slow", policy_label, totals.evictions);
    all.labelled("limits", limit_label, totals.limit_hits);
    all.labelled("refused", refusal_label, totals.auth_refused);
    all.labelled("peers_refused", peer_label, totals.peers_refused);
    const std::span<const Counter> handshakes = totals.handshakes;
    all.labelled("handshakes", success_label, handshakes.first(kHandshakeSuccesses));
    all.labelled("handshake_failures", failure_label, handshakes.subspan(kHandshakeSuccesses));
    return std::move(all.out) + '}';
}

} // namespace fanhorn
