// SPDX-License-Identifier: Apache-2.0
// fanhornctl: the operator's client.
#include "ctl/bench_options.h"
#include "ctl/commands.h"
#include "ctl/tls.h"

#include <csignal>
#include <cstdio>

namespace fanhorn::ctl {

namespace {

constexpr Listener kPrivate = {"http://127.0.0.1:8081", "FANHORN_URL"};
constexpr Listener kPublic = {"http://127.0.0.1:8080", "FANHORN_SUB_URL"};

constexpr Option kJson = {"json", "", "print the daemon's own JSON"};

constexpr Option kPublishOptions[] = {
    {"event", "NAME", "the kind of message, as subscribers see it"},
    {"ttl", "DURATION", "how long it is kept at most: 30s, 5m, or seconds"},
    {"type", "CONTENT-TYPE", "what the data is, e.g. application/json"},
    {"retain", "", "keep it as the channel's retained value"},
    {"no-store", "", "for those connected now, and not into the history"},
    {"idempotency-key", "KEY", "publish once, however often this is repeated"},
    {"lines", "", "publish each line of standard input as it comes"},
    {"from-sse", "URL", "republish that event stream (http or https), until interrupted"},
    {"from-ndjson", "FILE", "republish a file's JSON lines; - is standard input"},
    {"filter", "TERMS", "only what has these top-level fields, as wiki=enwiki,bot!=true"},
    kJson,
};
constexpr Option kSubscribeOptions[] = {
    {"since", "POSITION", "an id, latest (the default), earliest, or -N"},
    {"count", "N", "end after N messages"},
    {"ids", "", "print each message's id and a tab before it"},
    {"no-reconnect", "", "end when the connection does"},
    {"json", "", "print the envelopes, and gaps among them"},
};
constexpr Option kChannelsOptions[] = {
    {"prefix", "TEXT", "only channels whose name begins so"},
    kJson,
};
constexpr Option kChannelOptions[] = {kJson};
constexpr Option kStatsOptions[] = {
    {"json", "", "print all metrics as one JSON object"},
};

const Command kCommands[] = {
    {"publish", "CHANNEL [DATA | -]",
     "Publish DATA, or else standard input, or an upstream: {field} in CHANNEL is then its\n"
     "message's field, and at most 1,024 messages or 16 MiB wait for the daemon's answers.",
     1, 2, kPrivate, kPublishOptions, publish},
    {"subscribe", "CHANNEL[,CHANNEL...]", "Print messages as they come, one a line.", 1, 1, kPublic,
     kSubscribeOptions, subscribe},
    {"channels", "", "List the channels.", 0, 0, kPrivate, kChannelsOptions, channels},
    {"channel", "NAME", "Show what is known of one channel.", 1, 1, kPrivate, kChannelOptions,
     channel},
    {"stats", "", "Print a table from the daemon's metrics.", 0, 0, kPrivate, kStatsOptions, stats},
    {"bench", "", "Load a server, check every delivery and tell the cost.", 0, 0, kNoListener,
     load::kOptions, bench},
};

int usage(FILE* out, int code) {
    for (const Command& command : kCommands)
        fprintf(out, "%s %s\n", &command == kCommands ? "usage:" : "      ",
                usage_line(command).c_str());
    fputs("fanhornctl COMMAND --help tells the options; fanhornctl --version the version\n", out);
    return code;
}

int run(const Command& command, std::span<char* const> words) {
    const auto arguments = read_arguments(command, words);
    if (!arguments) {
        warn(arguments.error());
        fprintf(stderr, "usage: %s\n", usage_line(command).c_str());
        return kUsage;
    }
    if (arguments->has("help")) {
        fputs(help_text(command).c_str(), stdout);
        return kOk;
    }
    if (auto checked = check_certificate(arguments->daemon.own); !checked)
        return fail(checked.error());
    return command.run(*arguments);
}

} // namespace

} // namespace fanhorn::ctl

int main(int argc, char** argv) {
    using namespace fanhorn::ctl;
    std::signal(SIGPIPE, SIG_IGN);
    const std::string_view name = argc > 1 ? argv[1] : "";
    if (name == "--help" || name == "-h" || name == "help")
        return usage(stdout, kOk);
    if (name == "--version") {
        puts("fanhornctl " FANHORN_VERSION);
        return kOk;
    }
    for (const Command& command : kCommands)
        if (name == command.name)
            return run(command, {argv + 2, static_cast<size_t>(argc - 2)});
    return usage(stderr, kUsage);
}
