// SPDX-License-Identifier: Apache-2.0
#include "ctl/command_line.h"

#include "base/text.h"

#include <fmt/core.h>

#include <cstdlib>
#include <iterator>

namespace fanhorn::ctl {

namespace {

constexpr Option kCommon[] = {
    {"url", "URL", "the listener: http://HOST:PORT, https://HOST:PORT or unix:/PATH"},
    {"cert", "FILE", "show this certificate (PEM, with its chain) to an https listener"},
    {"key", "FILE", "the key of --cert, where that file does not have it"},
    {"help", "", "print this"},
};

const Option* find_option(const Command& command, std::string_view name) {
    for (const std::span<const Option> rows : {command.options, common_options(command)})
        for (const Option& option : rows)
            if (option.name == name)
                return &option;
    return nullptr;
}

// Takes the option that stands first in `words` off it. The reason when it is none.
std::string take_option(const Command& command, std::span<char* const>& words,
                        Arguments& arguments) {
    const std::string_view word = words[0];
    std::string_view value = word.substr(2);
    const std::string name(take_until(value, '='));
    const bool is_joined = word.find('=') != word.npos;
    words = words.subspan(1);
    const Option* option = find_option(command, name);
    if (!option)
        return "unknown option '--" + name + "'";
    if (option->value.empty() && is_joined)
        return "'--" + name + "' takes no value";
    if (!option->value.empty() && !is_joined) {
        if (words.empty())
            return "'--" + name + "' needs a value";
        value = words[0];
        words = words.subspan(1);
    }
    arguments.options[name] = option->value.empty() ? "1" : value;
    return {};
}

std::string listener_url(const Command& command, const Arguments& arguments) {
    if (arguments.has("url"))
        return arguments.option("url");
    const char* variable = std::getenv(command.listener.variable);
    return variable && *variable ? variable : std::string(command.listener.url);
}

// The reason when it cannot be.
std::string read_daemon(const Command& command, const Arguments& arguments, Endpoint& daemon) {
    const auto url = http::parse_url(listener_url(command, arguments));
    if (!url)
        return url.error();
    daemon.url = *url;
    daemon.own = {arguments.option("cert"),
                  arguments.option(arguments.has("key") ? "key" : "cert")};
    if (daemon.own.certificate.empty() && (arguments.has("cert") || arguments.has("key")))
        return "'--key' goes with '--cert', which names a file";
    return arguments.has("cert") && !url->is_secure ? "'--cert' is for a URL with https" : "";
}

std::string option_rows(std::span<const Option> options) {
    std::string rows;
    for (const Option& option : options)
        rows += fmt::format("  {:<24} {}\n", fmt::format("--{} {}", option.name, option.value),
                            option.help);
    return rows;
}

} // namespace

std::span<const Option> common_options(const Command& command) {
    return std::span(kCommon).subspan(command.listener.variable ? 0 : std::size(kCommon) - 1);
}

Result<Arguments> read_arguments(const Command& command, std::span<char* const> words) {
    Arguments arguments;
    bool are_options = true;
    while (!words.empty()) {
        const std::string_view word = words[0];
        if (are_options && word.starts_with("--") && word != "--") {
            if (std::string wrong = take_option(command, words, arguments); !wrong.empty())
                return Error{std::move(wrong)};
            if (arguments.has("help"))
                return arguments;
            continue;
        }
        if (are_options && word == "--")
            are_options = false;
        else
            arguments.operands.emplace_back(word);
        words = words.subspan(1);
    }
    if (arguments.operands.size() < command.min_operands)
        return Error{"something is missing"};
    if (arguments.operands.size() > command.max_operands)
        return Error{"too much was given"};
    if (!command.listener.variable)
        return arguments;
    if (std::string wrong = read_daemon(command, arguments, arguments.daemon); !wrong.empty())
        return Error{std::move(wrong)};
    return arguments;
}

std::string usage_line(const Command& command) {
    return fmt::format("fanhornctl {} [OPTION...]{}{}", command.name,
                       command.operands.empty() ? "" : " ", command.operands);
}

std::string help_text(const Command& command) {
    std::string text =
        fmt::format("usage: {}\n{}\n\n{}{}", usage_line(command), command.summary,
                    option_rows(command.options), option_rows(common_options(command)));
    if (command.listener.variable)
        text += fmt::format("\nThe default URL is ${}, else {}.\n", command.listener.variable,
                            command.listener.url);
    return text;
}

} // namespace fanhorn::ctl
