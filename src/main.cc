// SPDX-License-Identifier: Apache-2.0
// fanhorn: argv, configuration, start, exit code.
#include "base/digest.h"
#include "server/command_line.h"
#include "server/process.h"
#include "server/server.h"

#include <cstdio>

namespace {

using namespace fanhorn;

int print(const std::string& text) {
    std::fputs(text.c_str(), stdout);
    return kExitOk;
}

int complain(const std::string& text, int code) {
    std::fprintf(stderr, "fanhorn: %s\n", text.c_str());
    return code;
}

int complain(const ConfigErrors& errors) {
    for (const std::string& error : errors) // FILE:LINE first, as editors want it
        std::fprintf(stderr, "%s\n", error.c_str());
    return kExitConfig;
}

int serve(const CommandLine& command, const LoadedConfig& loaded, Program program) {
    abort_without_memory();
    load_digests();
    Server server(
        loaded.config, [&] { return load_config(command.config_file, command.overrides); },
        std::move(program));
    if (auto opened = server.open(); !opened)
        return complain(opened.error(), kExitRuntime);
    return server.run();
}

} // namespace

int main(int argc, char** argv) {
    const auto parsed = parse_command_line(argc, argv);
    if (!parsed)
        return complain(parsed.error(), kExitUsage);
    const CommandLine& command = *parsed;
    if (command.action == CommandLine::Action::Help)
        return print(usage_text());
    if (command.action == CommandLine::Action::Version)
        return print(version_text(command.is_verbose));

    const LoadedConfig loaded = load_config(command.config_file, command.overrides);
    if (!loaded.config)
        return complain(loaded.errors);
    switch (command.action) {
    case CommandLine::Action::Check:
        return complain("the configuration " + command.config_file + " is fine", kExitOk);
    case CommandLine::Action::Show:
        return print(loaded.effective);
    case CommandLine::Action::Explain:
        print(explain_channel(*loaded.config, command.channel));
        return loaded.config->settings_for(command.channel) ? kExitOk : kExitRuntime;
    case CommandLine::Action::Signal:
        if (auto sent = send_signal(*loaded.config, command.signal); !sent)
            return complain(sent.error(), kExitRuntime);
        return kExitOk;
    default:
        return serve(command, loaded, Program::of(argc, argv));
    }
}
