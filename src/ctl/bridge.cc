// SPDX-License-Identifier: Apache-2.0
#include "ctl/bridge.h"

#include "base/text.h"
#include "base/utf8.h"
#include "ctl/line_source.h"
#include "ctl/output.h"
#include "ctl/relay_stream.h"
#include "ctl/route.h"
#include "ctl/sse_source.h"

#include <csignal>
#include <fcntl.h>
#include <map>
#include <poll.h>
#include <unistd.h>

namespace fanhorn::ctl {

namespace {

constexpr Millis kLastWordsMs = 5'000; // for what is under way when a signal comes

int g_stop_pipe[2];

void on_signal(int) {
    const int kept = errno;
    [[maybe_unused]] const ssize_t written = write(g_stop_pipe[1], "", 1);
    errno = kept;
}

// The second signal ends the process at once.
bool catch_signals() {
    if (pipe2(g_stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    return sigaction(SIGINT, &action, nullptr) == 0 && sigaction(SIGTERM, &action, nullptr) == 0;
}

// The sooner of two times, of which -1 is never.
int sooner(int left, int right) {
    return left < 0 ? right : right < 0 ? left : std::min(left, right);
}

class Bridge {
  public:
    Bridge(const Arguments& arguments, Source& source, const Route& route)
        : arguments_(arguments), source_(source), route_(route),
          relay_(arguments.daemon, [this](const std::string& why) { on_answer(why); }) {}

    int run() {
        while (!is_over()) {
            wait();
            const Millis now = clock_.now();
            if (is_source_due_)
                read(now);
            relay_.turn(now, is_relay_ready_);
        }
        return report();
    }

  private:
    bool reads() const { return !is_stopped_ && !source_.is_over() && relay_.has_room(); }

    bool is_over() const {
        if (!relay_.failure().empty())
            return true;
        if (is_stopped_ && clock_.now() >= stopped_at_ + kLastWordsMs)
            return true;
        return (is_stopped_ || source_.is_over()) && relay_.lines() == 0;
    }

    void wait() {
        const Millis now = clock_.now();
        pollfd watched[3] = {{is_stopped_ ? -1 : g_stop_pipe[0], POLLIN, 0},
                             {reads() ? source_.fd() : -1, POLLIN, 0},
                             relay_.watch()};
        int due = sooner(relay_.due_in_ms(now), reads() ? source_.due_in_ms(now) : -1);
        if (is_stopped_)
            due = sooner(due, static_cast<int>(stopped_at_ + kLastWordsMs - now));
        const int ready = poll(watched, 3, due);
        is_source_due_ = reads() && (watched[1].revents || source_.due_in_ms(clock_.now()) == 0);
        is_relay_ready_ = ready > 0 && (watched[2].revents & ~POLLOUT);
        if (ready > 0 && watched[0].revents) {
            is_stopped_ = true;
            is_source_due_ = false;
            stopped_at_ = clock_.now();
        }
    }

    void read(Millis now) {
        if (source_.will_block())
            relay_.rest(now);
        std::vector<Event> events;
        source_.turn(now, events);
        for (const Event& event : events)
            take(event);
    }

    void take(const Event& event) {
        ++read_;
        Routed routed = route_.line(event);
        if (routed.kind == Routed::Kind::Publish)
            relay_.push(std::move(routed.text));
        else if (routed.kind == Routed::Kind::FilteredOut)
            ++filtered_out_;
        else
            on_failed(routed.text);
    }

    void on_answer(const std::string& why) {
        if (why.empty())
            ++published_;
        else
            on_failed(why);
    }

    // Told at the 1st, 10th, 100th... for each code, or a long outage would fill a disk.
    void on_failed(const std::string& why) {
        ++failed_;
        const uint64_t count = ++failures_[why.substr(0, why.find(':'))];
        uint64_t told = 1;
        while (told < count)
            told *= 10;
        if (told == count)
            warn("not published: " + why +
                 (count > 1 ? " (" + std::to_string(count) + " so by now)" : ""));
    }

    int report() {
        failed_ += relay_.lines();
        const bool is_printed = print_line(summary());
        int code = failed_ > 0 ? fail(std::to_string(failed_) + " of " + std::to_string(read_) +
                                      " messages were not published")
                               : kOk;
        if (relay_.lines() > 0)
            warn(std::to_string(relay_.lines()) + " of them still waited for the relay's answer");
        for (const std::string& failure : {relay_.failure(), source_.failure()})
            if (!failure.empty())
                code = fail(failure);
        return is_printed || code != kOk ? code : output_code();
    }

    std::string summary() const {
        const bool is_json = arguments_.has("json");
        std::string text;
        for (const auto& [name, count] : {std::pair{"read", read_},
                                          {"filtered out", filtered_out_},
                                          {"published", published_},
                                          {"failed", failed_}}) {
            std::string key = name;
            if (is_json && key == "filtered out")
                key = "filtered_out";
            text += text.empty() ? "" : is_json ? "," : ", ";
            text += (is_json ? "\"" + key + "\":" : key + " ") + std::to_string(count);
        }
        return is_json ? "{" + text + "}" : text;
    }

    const Arguments& arguments_;
    Source& source_;
    const Route& route_;
    SystemClock clock_;
    RelayStream relay_;
    bool is_stopped_ = false, is_source_due_ = false, is_relay_ready_ = false;
    Millis stopped_at_ = 0;
    uint64_t read_ = 0, filtered_out_ = 0, published_ = 0, failed_ = 0;
    std::map<std::string, uint64_t> failures_; // by code; ours are few, the daemon's too
};

Result<Route> read_route(const Arguments& arguments) {
    auto channel = ChannelTemplate::parse(arguments.operands[0]);
    if (!channel)
        return Error{channel.error()};
    Route route{
        std::move(*channel), {}, arguments.has("from-ndjson"), arguments.option("event"), {}};
    if (arguments.has("filter")) {
        auto filter = Filter::parse(arguments.option("filter"));
        if (!filter)
            return Error{"--filter: " + filter.error()};
        route.filter = std::move(*filter);
    }
    if (!is_utf8(arguments.option("event") + arguments.option("ttl")))
        return Error{"--event and --ttl are UTF-8"};
    if (arguments.has("ttl")) {
        route.more_members += ",\"ttl\":";
        append_json_string(route.more_members, arguments.option("ttl"));
    }
    route.more_members += arguments.has("retain") ? ",\"retain\":true" : "";
    route.more_members += arguments.has("no-store") ? ",\"store\":0" : "";
    return route;
}

Result<std::unique_ptr<Source>> open_source(const Arguments& arguments) {
    if (arguments.has("from-ndjson"))
        return std::unique_ptr<Source>(new LineSource(arguments.option("from-ndjson")));
    const auto upstream = http::parse_upstream(arguments.option("from-sse"));
    if (!upstream)
        return Error{"--from-sse: " + upstream.error()};
    return std::unique_ptr<Source>(new SseSource(*upstream));
}

std::string misuse(const Arguments& arguments) {
    if (arguments.has("from-sse") && arguments.has("from-ndjson"))
        return "--from-sse and --from-ndjson are two upstreams; a bridge has one";
    for (const char* name : {"lines", "type", "idempotency-key"})
        if (arguments.has(name))
            return "--" + std::string(name) + " does not go with --from-sse and --from-ndjson";
    return arguments.operands.size() > 1 ? "what is published comes from upstream: no DATA" : "";
}

} // namespace

bool is_bridge(const Arguments& arguments) {
    return arguments.has("from-sse") || arguments.has("from-ndjson");
}

int bridge(const Arguments& arguments) {
    auto wrong = misuse(arguments);
    const auto route = read_route(arguments);
    const auto source = open_source(arguments);
    if (wrong.empty())
        wrong = !route ? route.error() : source.error();
    if (!wrong.empty()) {
        warn(wrong);
        return kUsage;
    }
    if (!catch_signals())
        return fail("cannot catch signals");
    return Bridge(arguments, **source, *route).run();
}

} // namespace fanhorn::ctl
