// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_options.h"

#include "base/text.h"

#include <fmt/core.h>

#include <algorithm>
#include <sys/resource.h>
#include <unistd.h>

namespace fanhorn::ctl::load {

namespace {

constexpr Option kRows[] = {
    {"subscribe-url", "URL", "http://127.0.0.1:8080/sub/{channel}"},
    {"publish-url", "URL", "http://127.0.0.1:8081/pub/{channel}"},
    {"transport", "T", "websocket, sse, longpoll or socket.io"},
    {"publish-format", "F", "raw, ndjson or json-items"},
    {"subscribers", "N", "in all, dealt out over the channels [100]"},
    {"channels", "N", "[1]"},
    {"messages", "N", "in all, to the channels in turn [1000]"},
    {"seconds", "N", "after which no more is published; 0: no limit [0]"},
    {"size", "BYTES", "of a message [128]"},
    {"rate", "N", "messages a second; 0: as fast as it goes [0]"},
    {"window", "N", "messages at most ahead of the mean subscriber [32]"},
    {"publishers", "N", "kept-alive connections that publish [1]"},
    {"pipeline", "N", "publishes under way on each [1; ndjson: 4096]"},
    {"processes", "N", "that subscribe [1]"},
    {"sources", "N", "loopback addresses that they come from [one for 2,000]"},
    {"stopped", "N", "subscribers, the last ones, that never read [0]"},
    {"connect-rate", "N", "connections a second; 0: as fast as it goes [0]"},
    {"ahead", "N", "connections being made at once, each process [256]"},
    {"hold", "SECONDS", "idle between connecting and publishing [0]"},
    {"patience", "SECONDS", "without any progress that end it [10]"},
    {"pid", "PID[,PID...]", "the server's processes, to be accounted"},
    {"prefix", "TEXT", "of the channels' names [one for each run]"},
    {"json", "", "print one JSON object"},
};

constexpr uint64_t kEndless = 1'000'000'000'000;

struct Number {
    std::string_view name;
    uint64_t Plan::*field;
    uint64_t value, min, max;
};
constexpr Number kNumbers[] = {
    {"subscribers", &Plan::subscribers, 100, 0, 4'000'000},
    {"stopped", &Plan::stopped, 0, 0, 4'000'000},
    {"channels", &Plan::channels, 1, 1, 10'000'000},
    {"messages", &Plan::messages, 1000, 0, kEndless},
    {"seconds", &Plan::seconds, 0, 0, 1'000'000},
    {"size", &Plan::size, 128, kMinMessageBytes, 16 << 20},
    {"rate", &Plan::rate, 0, 0, 100'000'000},
    {"window", &Plan::window, 32, 1, 100'000'000},
    {"publishers", &Plan::publishers, 1, 1, 1000},
    {"pipeline", &Plan::pipeline, 0, 0, 1'000'000},
    {"processes", &Plan::processes, 1, 1, 1000},
    {"sources", &Plan::sources, 0, 0, 1'000'000},
    {"connect-rate", &Plan::connect_rate, 0, 0, 100'000'000},
    {"ahead", &Plan::ahead, 256, 1, 100'000},
    {"hold", &Plan::hold_s, 0, 0, 1'000'000},
    {"patience", &Plan::patience_s, 10, 1, 10'000},
};

struct Word {
    std::string_view name;
    int value;
};
constexpr Word kTransports[] = {
    {"websocket", static_cast<int>(Transport::kWebSocket)},
    {"sse", static_cast<int>(Transport::kSse)},
    {"longpoll", static_cast<int>(Transport::kLongPoll)},
    {"socket.io", static_cast<int>(Transport::kSocketIo)},
};
constexpr Word kFormats[] = {
    {"raw", static_cast<int>(Format::kRaw)},
    {"ndjson", static_cast<int>(Format::kNdjson)},
    {"json-items", static_cast<int>(Format::kJsonItems)},
};

// Descriptors that a process has beside its subscribers: standard ones, epoll, what was inherited.
constexpr uint64_t kOtherDescriptors = 32;
// Ports of one source address to one server: the kernel's usual range, less a reserve.
constexpr uint64_t kPortsEach = 25'000;
// With more of one address in use, the kernel searches long for a free port.
constexpr uint64_t kEasyPortsEach = 2000;

std::string read_numbers(const Arguments& arguments, Plan& plan) {
    for (const Number& row : kNumbers) {
        plan.*row.field = row.value;
        if (!arguments.has(row.name))
            continue;
        const auto value = parse_u64(arguments.option(row.name));
        if (!value || *value < row.min || *value > row.max)
            return fmt::format("--{} is a number from {} to {}", row.name, row.min, row.max);
        plan.*row.field = *value;
    }
    return {};
}

// The first word where the option is not given.
Result<int> read_word(const Arguments& arguments, std::string_view option,
                      std::span<const Word> words) {
    std::string all;
    for (const Word& word : words) {
        if (!arguments.has(option) || arguments.option(option) == word.name)
            return word.value;
        all += fmt::format(" {}", word.name);
    }
    return Error{fmt::format("--{} is one of:{}", option, all)};
}

std::string read_words(const Arguments& arguments, Plan& plan) {
    const auto transport = read_word(arguments, "transport", kTransports);
    if (!transport)
        return transport.error();
    const auto format = read_word(arguments, "publish-format", kFormats);
    if (!format)
        return format.error();
    plan.transport = static_cast<Transport>(*transport);
    plan.format = static_cast<Format>(*format);
    const std::string pids = arguments.option("pid"); // outlives the views
    for (const std::string_view word : split(pids, ',')) {
        const auto pid = parse_u64(word);
        if (!pid && arguments.has("pid"))
            return "--pid is a list of process ids";
        if (pid)
            plan.pids.push_back(static_cast<int>(*pid));
    }
    plan.as_json = arguments.has("json");
    plan.prefix =
        arguments.has("prefix") ? arguments.option("prefix") : fmt::format("bench{}-", getpid());
    return {};
}

Result<Target> read_url(const Arguments& arguments, const char* option, const char* otherwise) {
    auto target = read_target(arguments.has(option) ? arguments.option(option) : otherwise);
    return target ? std::move(target) : Error{fmt::format("--{}: {}", option, target.error())};
}

std::string read_urls(const Arguments& arguments, Plan& plan) {
    auto subscribe = read_url(arguments, "subscribe-url", "http://127.0.0.1:8080/sub/{channel}");
    if (!subscribe)
        return subscribe.error();
    auto publish = read_url(arguments, "publish-url", "http://127.0.0.1:8081/pub/{channel}");
    if (!publish)
        return publish.error();
    plan.subscribe = std::move(*subscribe);
    plan.publish = std::move(*publish);
    return {};
}

uint64_t divide_up(uint64_t all, uint64_t each) {
    return (all + each - 1) / each;
}

uint64_t descriptor_limit() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max;
}

std::string check_descriptors(const Plan& plan) {
    const uint64_t limit = descriptor_limit();
    const uint64_t room = limit > kOtherDescriptors ? limit - kOtherDescriptors : 1;
    if (divide_up(plan.subscribers, plan.processes) <= room)
        return {};
    return fmt::format("a process may have {} descriptors here: {} subscribers need --processes {}",
                       limit, plan.subscribers, divide_up(plan.subscribers, room));
}

std::string settle_sources(Plan& plan) {
    if (!plan.subscribe.is_loopback())
        return plan.sources ? "--sources is for a server on 127.0.0.0/8" : "";
    const uint64_t needed = divide_up(plan.subscribers, kPortsEach);
    if (plan.sources == 0)
        plan.sources = divide_up(plan.subscribers, kEasyPortsEach);
    if (plan.sources < needed)
        return fmt::format("{} subscribers need --sources {}: one has {} ports", plan.subscribers,
                           needed, kPortsEach);
    return {};
}

std::string check(const Arguments& arguments, Plan& plan) {
    if (plan.stopped > plan.subscribers)
        return "--stopped is more than --subscribers";
    if (plan.seconds && !arguments.has("messages"))
        plan.messages = kEndless;
    if (plan.pipeline == 0)
        plan.pipeline = plan.format == Format::kNdjson ? 4096 : 1;
    // The messages of a channel go over one connection, or nothing would keep their order.
    plan.publishers = std::min(plan.publishers, plan.channels);
    if (std::string wrong = check_descriptors(plan); !wrong.empty())
        return wrong;
    return settle_sources(plan);
}

} // namespace

const std::span<const Option> kOptions = kRows;

Result<Plan> make_plan(const Arguments& arguments) {
    Plan plan;
    using Step = std::string (*)(const Arguments&, Plan&);
    for (const Step step : {read_numbers, read_words, read_urls, check})
        if (std::string wrong = step(arguments, plan); !wrong.empty())
            return Error{std::move(wrong)};
    return plan;
}

} // namespace fanhorn::ctl::load
