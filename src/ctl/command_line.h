// SPDX-License-Identifier: Apache-2.0
// What a command takes, said once: parsing and help come from the same rows.
#pragma once

#include "base/result.h"
#include "ctl/endpoint.h"

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn::ctl {

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// What was given, by the names of the options without dashes; "1" for one without a value.
struct Arguments {
    std::map<std::string, std::string, std::less<>> options;
    std::vector<std::string> operands;
    Endpoint daemon;

    bool has(std::string_view name) const { return options.contains(name); }
    std::string option(std::string_view name) const {
        const auto found = options.find(name);
        return found == options.end() ? std::string() : found->second;
    }
};

struct Option {
    std::string_view name;
    std::string_view value; // its word in the help; "" for a switch
    std::string_view help;
};

// The listener that a command speaks to, unless --url says otherwise.
struct Listener {
    std::string_view url;
    const char* variable; // of the environment; comes before `url`
};
// For a command that has URLs of its own, and no --url.
inline constexpr Listener kNoListener = {"", nullptr};

struct Command {
    std::string_view name;
    std::string_view operands; // in the help
    std::string_view summary;
    size_t min_operands, max_operands;
    const Listener& listener;
    std::span<const Option> options; // beside common_options()
    int (*run)(const Arguments& arguments);
};

// Those that say where the daemon is, and --help, or --help alone.
std::span<const Option> common_options(const Command& command);

// The words behind the command's name. --help makes whatever else stands there right.
Result<Arguments> read_arguments(const Command& command, std::span<char* const> words);

// "fanhornctl NAME [OPTION...] OPERANDS", and the rows of the options below it.
std::string usage_line(const Command& command);
std::string help_text(const Command& command);

} // namespace fanhorn::ctl
