// SPDX-License-Identifier: Apache-2.0
#include "server/command_line.h"

#include "base/digest.h"
#include "http/http2.h"
#include "modules/modules.h"
#include "net/loop.h"
#include "net/ring.h"
#include "server/process.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <unistd.h>

namespace fanhorn {

namespace {

struct SignalName {
    std::string_view name;
    int signal;
};
constexpr SignalName kSignals[] = {{"stop", SIGTERM},
                                   {"quit", SIGQUIT},
                                   {"reload", SIGHUP},
                                   {"reopen", SIGUSR1},
                                   {"upgrade", SIGUSR2}};

Result<int> find_signal(std::string_view name) {
    for (const SignalName& each : kSignals)
        if (each.name == name)
            return each.signal;
    return Error{"-s takes stop, quit, reload, reopen or upgrade, not '" + std::string(name) + "'"};
}

Error usage_error(const std::string& text) {
    return Error{text + " (fanhorn -h shows the usage)"};
}

} // namespace

Result<CommandLine> parse_command_line(int argc, char** argv) {
    CommandLine command;
    using Action = CommandLine::Action;
    opterr = 0;
    optind = 1;
    for (int option; (option = getopt(argc, argv, "+:c:tTM:g:s:vVh")) != -1;) {
        switch (option) {
        case 'c':
            command.config_file = optarg;
            break;
        case 't':
            command.action = Action::Check;
            break;
        case 'T':
            command.action = Action::Show;
            break;
        case 'M':
            command.action = Action::Explain;
            command.channel = optarg;
            break;
        case 'g':
            command.overrides.push_back(optarg);
            break;
        case 's': {
            const auto signal = find_signal(optarg);
            if (!signal)
                return usage_error(signal.error());
            command.action = Action::Signal;
            command.signal = *signal;
            break;
        }
        case 'V':
            command.is_verbose = true;
            [[fallthrough]];
        case 'v':
            command.action = Action::Version;
            break;
        case 'h':
            command.action = Action::Help;
            break;
        case ':':
            return usage_error(std::string("-") + static_cast<char>(optopt) + " needs a value");
        default:
            return usage_error(std::string("unknown option -") + static_cast<char>(optopt));
        }
    }
    if (optind < argc)
        return usage_error("unexpected '" + std::string(argv[optind]) + "'");
    return command;
}

std::string usage_text() {
    return "usage: fanhorn [-c FILE] [-g 'SECTION.KEY=VALUE']... [-t | -T | -M CHANNEL | -s SIGNAL "
           "| -v | -V]\n"
           "  -c FILE     configuration (default /etc/fanhorn/fanhorn.conf)\n"
           "  -g SETTING  override one setting, e.g. 'server.workers=2'\n"
           "  -t          check the configuration and exit\n"
           "  -T          check it and show it with all defaults\n"
           "  -M CHANNEL  say which section governs that channel\n"
           "  -s SIGNAL   stop | quit | reload | reopen | upgrade the running daemon\n"
           "  -v, -V      version; with libraries, build options and modules\n";
}

std::string version_text(bool is_verbose) {
    std::string text = "fanhorn " FANHORN_VERSION "\n";
    if (!is_verbose)
        return text;
    text += std::string("compiler: ") + __VERSION__ + "\n";
    text.append("libraries: libevent ").append(event_library_version()).append(", ");
    text.append(crypto_library_version()).append(", zlib ").append(compression_library_version());
    text += "\n";
    text += "build:";
#if defined(__SANITIZE_ADDRESS__)
    text += " address-sanitizer";
#endif
#if defined(__SANITIZE_THREAD__)
    text += " thread-sanitizer";
#endif
#if defined(__OPTIMIZE__)
    text += " optimized";
#else
    text += " unoptimized";
#endif
    text += Ring::is_built() ? " io_uring" : " without-io_uring";
    text += http::Http2Session::is_built() ? " http2" : " without-http2";
    text += "\nmodules:";
    for (const TransportModule* module : transport_modules())
        text.append(" transport_").append(module->name);
    for (const BrokerModule* module : broker_modules())
        text.append(" broker_").append(module->name);
    return text + "\n";
}

Result<void> send_signal(const Config& config, int signal) {
    const std::string& path = config.server.pid_file;
    if (path.empty())
        return Error{"-s needs 'pid_file' in [server], where the daemon writes its pid"};
    const auto pid = read_pid_file(path);
    if (!pid)
        return Error{pid.error() + "; is the daemon running?"};
    if (kill(*pid, signal) != 0)
        return Error{"cannot signal process " + std::to_string(*pid) + ": " + std::strerror(errno)};
    return {};
}

} // namespace fanhorn
