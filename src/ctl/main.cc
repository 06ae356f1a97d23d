// SPDX-License-Identifier: Apache-2.0
// fanhornctl: the operator's client.
#include "base/text.h"
#include "ctl/commands.h"

#include <csignal>
#include <cstdio>
#include <span>

namespace fanhorn::ctl {

namespace {

constexpr const char* kPrivateUrl = "http://127.0.0.1:8081";
constexpr const char* kPublicUrl = "http://127.0.0.1:8080";

struct Command {
    const char* name;
    int (*run)(const Arguments& arguments);
    const char* url; // unless --url
    size_t min_operands, max_operands;
    const char* valued;   // options with a value, by blanks
    const char* switches; // options without one
    const char* usage;
};

constexpr Command kCommands[] = {
    {"publish", publish, kPrivateUrl, 1, 2, "event ttl url", "retain json",
     "[--event NAME] [--ttl DURATION] [--retain] [--json] [--url URL] CHANNEL [DATA | -]"},
    {"subscribe", subscribe, kPublicUrl, 1, 1, "since url", "json",
     "[--since POSITION] [--json] [--url URL] CHANNEL[,CHANNEL...]"},
    {"channels", channels, kPrivateUrl, 0, 0, "prefix url", "json",
     "[--prefix TEXT] [--json] [--url URL]"},
    {"channel", channel, kPrivateUrl, 1, 1, "url", "json", "[--json] [--url URL] NAME"},
    {"stats", stats, kPrivateUrl, 0, 0, "url", "", "[--url URL]"},
};

int usage(FILE* out, int code) {
    for (const Command& command : kCommands)
        fprintf(out, "%s fanhornctl %s %s\n", &command == kCommands ? "usage:" : "      ",
                command.name, command.usage);
    return code;
}

int misuse(const Command& command, const std::string& text) {
    fprintf(stderr, "fanhornctl: %s\nusage: fanhornctl %s %s\n", text.c_str(), command.name,
            command.usage);
    return kUsage;
}

bool is_word_of(std::string_view list, std::string_view word) {
    while (!list.empty())
        if (take_until(list, ' ') == word)
            return true;
    return false;
}

// The reason when they are not what the command takes.
std::string read_arguments(const Command& command, std::span<char*> words, Arguments& arguments) {
    bool are_options = true;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string_view word = words[i];
        if (!are_options || !word.starts_with("--")) {
            arguments.operands.emplace_back(word);
            continue;
        }
        if (word == "--") {
            are_options = false;
            continue;
        }
        std::string_view value = word.substr(2);
        const std::string_view name = take_until(value, '=');
        const bool is_joined = word.find('=') != word.npos;
        if (is_word_of(command.switches, name)) {
            if (is_joined)
                return "'--" + std::string(name) + "' takes no value";
            arguments.options.emplace(name, "1");
            continue;
        }
        if (!is_word_of(command.valued, name))
            return "unknown option '" + std::string(word) + "'";
        if (!is_joined && i + 1 == words.size())
            return "'" + std::string(word) + "' needs a value";
        arguments.options[std::string(name)] = is_joined ? value : std::string_view(words[++i]);
    }
    if (arguments.operands.size() < command.min_operands)
        return "something is missing";
    if (arguments.operands.size() > command.max_operands)
        return "too much was given";
    return {};
}

int run(const Command& command, std::span<char*> words) {
    Arguments arguments;
    const std::string wrong = read_arguments(command, words, arguments);
    if (!wrong.empty())
        return misuse(command, wrong);
    const auto url = parse_url(arguments.has("url") ? arguments.option("url") : command.url);
    if (!url)
        return misuse(command, url.error());
    arguments.url = *url;
    return command.run(arguments);
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
