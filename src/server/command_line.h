// SPDX-License-Identifier: Apache-2.0
// What the program was called with.
#pragma once

#include "base/result.h"
#include "server/config.h"

#include <string>
#include <vector>

namespace fanhorn {

inline constexpr int kExitOk = 0;
inline constexpr int kExitRuntime = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitConfig = 78; // EX_CONFIG of sysexits.h

struct CommandLine {
    enum class Action : uint8_t { Serve, Check, Show, Explain, Signal, Version, Help };
    Action action = Action::Serve;
    std::string config_file = "/etc/fanhorn/fanhorn.conf";
    std::vector<std::string> overrides; // -g
    std::string channel;                // -M
    int signal = 0;                     // -s
    bool is_verbose = false;            // -V
};

// The text of an error names the option and says what would be right.
Result<CommandLine> parse_command_line(int argc, char** argv);
std::string usage_text();
// The version; with libraries, build options and modules when `is_verbose`.
std::string version_text(bool is_verbose);
// Signals the daemon that server.pid_file of that configuration names.
Result<void> send_signal(const Config& config, int signal);

} // namespace fanhorn
