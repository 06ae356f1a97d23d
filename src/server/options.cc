// SPDX-License-Identifier: Apache-2.0
#include "server/options.h"

#include "http/http2.h"
#include "server/config.h"
#include "server/options_rows.h"
#include "server/privileges.h"

namespace fanhorn {

namespace {

Result<std::string> check_target(std::string_view text) {
    if (text != "stderr" && text != "syslog" && !text.starts_with('/'))
        return Error{"is not stderr, syslog or an absolute path"};
    return std::string(text);
}

Result<std::string> check_http2(std::string_view text) {
    if (text == "cleartext" && !http::Http2Session::is_built())
        return Error{"was left out of this build"};
    return std::string(text);
}

Result<std::string> check_network(std::string_view text) {
    const auto network = Network::parse(text);
    if (!network)
        return Error{network.error()};
    return network->text();
}

Result<std::string> check_user(std::string_view text) {
    if (!is_user(std::string(text)))
        return Error{"is no user of this system"};
    return std::string(text);
}

Result<std::string> check_group(std::string_view text) {
    if (!is_group(std::string(text)))
        return Error{"is no group of this system"};
    return std::string(text);
}

constexpr Row kServerRows[] = {
    {.name = "workers",
     .type = Type::Count,
     .binding = kField<&ServerSettings::workers>,
     .preset = "auto",
     .min = 1,
     .max = 1024,
     .word = "auto",
     .reloadable = false,
     .documentation = "How many event loops run, each in a thread of its own.\n"
                      "With auto it is one for each processor core that the daemon may use."},
    {.name = "max_connections",
     .type = Type::Count,
     .binding = kField<&ServerSettings::max_connections>,
     .preset = "1m",
     .min = 1,
     .max = 100'000'000,
     .reloadable = false,
     .documentation =
         "Open connections of all listeners together; what comes beyond is closed at once.\n"
         "The limit of open files has to be higher than this.\n"
         "Listeners that serve neither subscribe nor client may have 16 more, and are kept "
         "descriptors of their own, so that health checks, metrics and publishers are answered "
         "whatever the world does."},
    {.name = "descriptors",
     .type = Type::Choice,
     .binding = kField<&ServerSettings::descriptors>,
     .preset = "process",
     .choices = "process worker",
     .reloadable = false,
     .documentation = "Whose limit of open files counts.\n"
                      "With worker each worker has a table of descriptors of its own, and that "
                      "many times the limit can be open: for machines where the limit cannot be "
                      "raised.\n"
                      "The log then goes to stderr or a file, and stays where it is until the next "
                      "start."},
    {.name = "io_uring",
     .type = Type::Switch,
     .binding = kField<&ServerSettings::io_uring>,
     .preset = "on",
     .reloadable = false,
     .documentation = "Whether a message for many subscribers is sent to them in batches, by one "
                      "call of the system each, where the kernel lets us.\n"
                      "Where it does not, as with off, each is sent its own."},
    {.name = "drain",
     .type = Type::Duration,
     .binding = kField<&ServerSettings::drain>,
     .preset = "30s",
     .max = kHour,
     .documentation = "When the daemon is told to quit, its connections are closed one after the "
                      "other over this time, so that not all clients come back at once."},
    {.name = "pid_file",
     .type = Type::Text,
     .binding = kField<&ServerSettings::pid_file>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .reloadable = false,
     .meta = "Ar path",
     .documentation = "Where the process id is written; empty: nowhere.\n"
                      "The option -s of the program needs it to find the running daemon."},
    {.name = "user",
     .type = Type::Text,
     .binding = kField<&ServerSettings::user>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_user,
     .reloadable = false,
     .meta = "Ar name",
     .documentation =
         "The user that the daemon becomes when root starts it, once its listeners, its pid file "
         "and its log are open; it has that user's supplementary groups then, and no privilege.\n"
         "What a reload or USR1 opens, that user must be able to open: the configuration and the "
         "files that it names, the folder of the log, new addresses.\nA warning at the start "
         "names what of the configuration is not, and a reload is then refused.\n"
         "Empty: it stays whom it was started as; root is then warned of, which it is not where "
         "this is root.\n"
         "With systemd, User= in the unit does the same, and before anything is read."},
    {.name = "group",
     .type = Type::Text,
     .binding = kField<&ServerSettings::group>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_group,
     .reloadable = false,
     .meta = "Ar name",
     .documentation = "The group that it has then; empty: that user's own."},
    {.name = "core_dumps",
     .type = Type::Switch,
     .binding = kField<&ServerSettings::core_dumps>,
     .preset = "off",
     .reloadable = false,
     .documentation =
         "Whether the system may write the daemon's memory to a file when it crashes, and others "
         "of its user may look into it, as debuggers do.\n"
         "There are keys and tokens in it, and messages of all channels."},
};

constexpr Row kLogRows[] = {
    {.name = "target",
     .type = Type::Text,
     .binding = kField<&LogSettings::target>,
     .preset = "stderr",
     .min = 1,
     .max = kMaxTextBytes,
     .check = check_target,
     .meta = "Cm stderr | syslog | Ar /path",
     .documentation = "Where the log goes.\n"
                      "A file is opened anew on the signal USR1, for log rotation."},
    {.name = "level",
     .type = Type::Choice,
     .binding = kField<&LogSettings::level>,
     .preset = "notice",
     .choices = "debug info notice warning error",
     .documentation = "The least weighty events that are logged."},
    {.name = "format",
     .type = Type::Choice,
     .binding = kField<&LogSettings::format>,
     .preset = "text",
     .choices = "text json",
     .documentation = "One line an event: as text for people, or as a JSON object for machines."},
};

constexpr Row kListenerRows[] = {
    {.name = "address",
     .type = Type::Addresses,
     .binding = kField<&ListenerSettings::addresses>,
     .min = 1,
     .max = 64,
     .documentation =
         "Where connections are accepted: 127.0.0.1:8080, [::1]:8080, *:8080 (every IPv4 "
         "address), unix:/path for a socket file, fd:NAME for a socket that the service manager "
         "hands over.\n"
         "Host names are not looked up.\n"
         "A reload opens addresses that are new and closes those that are gone."},
    {.name = "serve",
     .type = Type::Flags,
     .binding = kField<&ListenerSettings::serve>,
     .min = 1,
     .choices = "subscribe publish control metrics client",
     .later = "proxy",
     .documentation = "What can be reached here: subscribe (/sub), publish (/pub), control "
                      "(/channels, /users), metrics (/metrics, /dashboard), client (the demo "
                      "pages and the client library).\n"
                      "Leave publish and control to addresses that only your own programs reach."},
    {.name = "origins",
     .type = Type::Texts,
     .binding = kField<&ListenerSettings::origins>,
     .preset = "",
     .max = 1000,
     .check = parse_origin,
     .meta = "Ar scheme://host[:port] | Cm *",
     .documentation = "The web origins whose pages may subscribe, checked for CORS and for "
                      "WebSocket.\n"
                      "Empty: pages of any origin may, without credentials."},
    {.name = "hosts",
     .type = Type::Texts,
     .binding = kField<&ListenerSettings::hosts>,
     .preset = "",
     .max = 1000,
     .check = parse_host,
     .meta = "Ar host",
     .documentation = "Further names under which publish and control may be reached here.\n"
                      "The listener's own addresses and localhost always may; a request with "
                      "another Host is refused, so that a web page cannot publish through a "
                      "visitor's browser."},
    {.name = "auth",
     .type = Type::Text,
     .binding = kField<&ListenerSettings::auth>,
     .preset = "",
     .max = kMaxTextBytes,
     .meta = "Ar name",
     .documentation = "The name of an [auth] section, of which publish, control and the "
                      "dashboard then need a token; empty: none.\n"
                      "Metrics and the two health checks are not touched by it."},
    {.name = "tls",
     .type = Type::Text,
     .binding = kField<&ListenerSettings::tls>,
     .preset = "",
     .max = kMaxTextBytes,
     .meta = "Ar name",
     .documentation =
         "The name of a [tls] section: connections here are https and wss, and nothing "
         "else.\n"
         "Empty: they are not encrypted."},
    {.name = "http2",
     .type = Type::Choice,
     .binding = kField<&ListenerSettings::http2>,
     .preset = "on",
     .choices = "on off cleartext",
     .check = check_http2,
     .documentation =
         "Whether HTTP/2 is spoken beside HTTP/1.1: on, where there is tls and the client asks "
         "for it by ALPN; cleartext, without tls as well, to clients that begin with it, as a "
         "proxy may; off, not at all.\n"
         "A build without HTTP/2 speaks none with on, and refuses cleartext.\n"
         "Each of its streams is a connection of its own in all that is counted and limited."},
    {.name = "proxy_protocol",
     .type = Type::Switch,
     .binding = kField<&ListenerSettings::proxy_protocol>,
     .preset = "off",
     .documentation =
         "Whether each connection begins with a header of the PROXY protocol, version 1 or 2, in "
         "which a proxy says where its client is.\n"
         "It is needed then, within 'header_timeout' and from an address in 'trusted_proxies'; "
         "else the connection is closed, as it is where the header is malformed.\n"
         "A checksum among the extensions of version 2 is not looked at."},
    {.name = "trusted_proxies",
     .type = Type::Texts,
     .binding = kField<&ListenerSettings::trusted_proxies>,
     .preset = "",
     .max = 1000,
     .check = check_network,
     .meta = "Ar address[/bits] | Cm unix",
     .documentation =
         "The proxies in front of this listener, which are believed where they say from whom a "
         "request is; unix: what comes over unix sockets.\n"
         "They say so in the header Forwarded or, where a request has none, in X-Forwarded-For, "
         "which are read from the right: what is not in this list itself is the client, and what "
         "stands to the left of it, or of something that cannot be understood, is not looked "
         "at.\n"
         "A proxy has to append to each of the two, or to remove it: else clients could write "
         "what they like there.\n"
         "The client's address is then what 'allow' and 'publish_rate' look at and the log "
         "shows."},
    {.name = "allow",
     .type = Type::Texts,
     .binding = kField<&ListenerSettings::allow>,
     .preset = "",
     .max = 1000,
     .check = check_network,
     .meta = "Ar address[/bits] | Cm unix",
     .documentation =
         "The addresses and networks whose requests are answered; empty: all.\n"
         "Others get 403, or no connection at all where they are no proxy in "
         "'trusted_proxies' either.\n"
         "What a proxy asks for itself, such as /healthz, comes from its own address."},
    {.name = "backlog",
     .type = Type::Count,
     .binding = kField<&ListenerSettings::backlog>,
     .preset = "4096",
     .min = 1,
     .max = 65'535,
     .reloadable = false,
     .documentation = "Connections that may wait to be accepted.\n"
                      "The kernel has a limit of its own, net.core.somaxconn."},
};

} // namespace

std::span<const SectionType> section_types() {
    static const SectionType kSectionTypes[] = {
        {"server", "server", Naming::Single, "", kServerRows, "", "The daemon as a whole."},
        {"log", "log", Naming::Single, "", kLogRows, "", "Where events are told, and which."},
        {"limits", "limits", Naming::Single, "", limits_rows(), "",
         "What a stranger can make grow, and how far.\n"
         "Each limit has a metric that counts how often it was reached."},
        {"tls", "tls NAME", Naming::Name, "", tls_rows(), "",
         "Certificates and rules for https and wss.\n"
         "Listeners name such a section in tls.\n"
         "A reload reads all its files again: new connections get what is new, open ones keep what "
         "they have, and where a file is broken everything stays as it was."},
        {"listener", "listener NAME", Naming::Name, "", kListenerRows, "base_path",
         "Where connections come in, and what they can reach there.\n"
         "At least one is needed."},
        {"auth", "auth NAME", Naming::Name, "", auth_rows(), "",
         "Who vouches for clients.\n"
         "Channels name such a section in subscribe and client_publish, listeners in auth.\n"
         "A token comes in the header Authorization: Bearer, in the query parameter access_token, "
         "or "
         "in a cookie; never in more than one of them."},
        {"broker", "broker NAME", Naming::Name, "", broker_rows(), "",
         "What orders and keeps messages, where the memory of this daemon is not meant."},
        {"hooks", "hooks NAME", Naming::Name, "", hooks_rows(), "",
         "An application that is told who comes and goes: a JSON object "
         "{\"dropped\":0,\"events\":[...]} by POST, events in the order in which they happened, "
         "each of them at least once.\n"
         "An event is an object with id, event, time (milliseconds since 1970) and, as fits it, "
         "channel, user, info and message, the id of the message that nobody heard.\n"
         "The id is START.N: N rises by one from event to event of a section, so that what comes "
         "twice, and what was dropped, is known by it.\n"
         "With another START the daemon, or the section, has begun anew, and who was here before "
         "is gone.\n"
         "At its end all that are here are told to be gone, and what waits is sent for two seconds "
         "more, or ten when it drains.\n"
         "A daemon that was started without such a section needs a restart for the first one."},
        {"defaults", "defaults channel", Naming::Single, "channel", channel_rows(), "",
         "What every [channel] section starts from."},
        {"channel", "channel PATTERN", Naming::Pattern, "", channel_rows(), "",
         "The settings of the channels that the pattern matches."},
    };
    return kSectionTypes;
}

const SectionType* find_section_type(std::string_view type) {
    for (const SectionType& candidate : section_types())
        if (type == candidate.type)
            return &candidate;
    return nullptr;
}

size_t find_row(const SectionType& type, std::string_view key) {
    size_t row = 0;
    while (row < type.rows.size() && key != type.rows[row].name)
        ++row;
    return row;
}

} // namespace fanhorn
