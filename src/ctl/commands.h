// SPDX-License-Identifier: Apache-2.0
// The commands of fanhornctl.
#pragma once

#include "ctl/client.h"
#include "ctl/output.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn::ctl {

// What was given, by the names of the options without dashes; "1" for one without a value.
struct Arguments {
    std::map<std::string, std::string, std::less<>> options;
    std::vector<std::string> operands;
    Url url;

    bool has(std::string_view name) const { return options.contains(name); }
    std::string option(std::string_view name) const {
        const auto found = options.find(name);
        return found == options.end() ? std::string() : found->second;
    }
};

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// Each returns the exit code.
int publish(const Arguments& arguments);
int subscribe(const Arguments& arguments);
int channels(const Arguments& arguments);
int channel(const Arguments& arguments);
int stats(const Arguments& arguments);

} // namespace fanhorn::ctl
