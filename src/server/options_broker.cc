// SPDX-License-Identifier: Apache-2.0
// The rows of [broker NAME].
#include "modules/modules.h"
#include "modules/nats_url.h"
#include "modules/redis_url.h"
#include "relay/settings.h"
#include "server/options_rows.h"

namespace fanhorn {

namespace {

Result<std::string> check_type(std::string_view type) {
    if (!find_broker_module(type))
        return Error{"was left out of this build"};
    return std::string(type);
}

Result<std::string> check_url(std::string_view url) {
    if (!is_nats_url(url))
        return check_redis_url(url);
    if (auto parsed = parse_nats_url(url); !parsed)
        return Error{parsed.error()};
    return std::string(url);
}

constexpr Row kBrokerRows[] = {
    {.name = "type",
     .type = Type::Choice,
     .binding = kField<&BrokerSettings::type>,
     .preset = "local",
     .choices = "local redis nats",
     .check = check_type,
     .reloadable = false,
     .documentation =
         "What orders and keeps the messages: local is this daemon's memory.\n"
         "With redis a Redis server of version 6.2 or later does, with nats a stream of a NATS "
         "server with JetStream, and several daemons that name the same one are one relay: what "
         "is published at one reaches the subscribers of all.\n"
         "With nats each daemon reads all that is published, and has all that is kept in its "
         "memory; the nodes must have the same [channel] sections.\n"
         "While it is away, publishers are answered with 503, and subscribers stay connected; when "
         "it is back they get what they missed, or are told that it is lost."},
    {.name = "url",
     .type = Type::Text,
     .binding = kField<&BrokerSettings::url>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_url,
     .reloadable = false,
     .is_secret = true,
     .meta = "Ar redis://host",
     .documentation =
         "The Redis server: redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], the same "
         "with rediss:// for TLS, or unix:/SOCKET.\n"
         "With mode = cluster several of its nodes, HOST:PORT,HOST:PORT; with mode = "
         "sentinel its host does not count, but the rest of it does.\n"
         "A name is resolved whenever a connection is made.\n"
         "An ACL of its user: ~fanhorn:* &fanhorn:* +@all -@dangerous -@admin +info, "
         "with the prefix as it is below, {fanhorn:} in a cluster; and &* instead "
         "where clients subscribe to wildcards.\n"
         "A server whose maxmemory-policy would make it forget messages is refused.\n"
         "Of type nats: nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT], the same with tls:// for TLS; "
         "several servers of a cluster are HOST:PORT,HOST:PORT.\n"
         "Its user may publish to fanhorn.> (the prefix as it is below), to $JS.API.> and "
         "$JS.FC.>, and subscribe to _INBOX.>.\n"
         "The stream is made where there is none, with three replicas in a cluster, which then "
         "needs "
         "three servers; one of a single server that starts again begins a new epoch, for nobody "
         "can tell what it lost.\n"
         "Messages that are larger than the server's max_payload, 1 MB where it has none, are "
         "answered with 503."},
    {.name = "mode",
     .type = Type::Choice,
     .binding = kField<&BrokerSettings::mode>,
     .preset = "single",
     .choices = "single sentinel cluster",
     .reloadable = false,
     .documentation =
         "How the Redis server is found: single, it is that of url.\n"
         "With sentinel the sentinels name it, and are asked once a second whether another one has "
         "taken its place.\n"
         "With cluster it is the node that has the slot of {prefix}: all keys of a broker are in "
         "one slot, since one server orders its messages; several brokers, for several patterns "
         "of channels, share the nodes of a cluster.\n"
         "A server that takes another's place begins a new epoch, so that whatever it does not "
         "have is told as a gap."},
    {.name = "sentinels",
     .type = Type::Texts,
     .binding = kField<&BrokerSettings::sentinels>,
     .preset = "",
     .max = 32,
     .check = check_sentinel,
     .reloadable = false,
     .is_secret = true,
     .meta = "Ar host:port",
     .documentation =
         "With mode = sentinel, where the sentinels are: [[USER]:PASSWORD@]HOST[:PORT], "
         "port 26379 where none is given.\n"
         "They are reached over TLS where the url is rediss://."},
    {.name = "master",
     .type = Type::Text,
     .binding = kField<&BrokerSettings::master>,
     .preset = "",
     .max = 64,
     .reloadable = false,
     .meta = "Ar name",
     .documentation = "The name by which the sentinels know the server."},
    {.name = "tls_ca",
     .type = Type::Text,
     .binding = kField<&BrokerSettings::tls_ca>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .reloadable = false,
     .meta = "Ar /path",
     .documentation =
         "A file with the certificates, in PEM, of which a rediss:// or tls:// server must have "
         "one: of the "
         "authorities that sign it, or its own; empty: those of the system's store.\n"
         "It must be for the host that the url, a sentinel or a node names."},
    {.name = "tls_certificate",
     .type = Type::Text,
     .binding = kField<&BrokerSettings::tls_certificate>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .reloadable = false,
     .meta = "Ar /path",
     .documentation = "A file with a certificate of ours in PEM, for a server that asks for one; "
                      "empty: none."},
    {.name = "tls_key",
     .type = Type::Text,
     .binding = kField<&BrokerSettings::tls_key>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .reloadable = false,
     .meta = "Ar /path",
     .documentation = "The file with its private key, in PEM without a password."},
    {.name = "prefix",
     .type = Type::Text,
     .binding = kField<&BrokerSettings::prefix>,
     .preset = "fanhorn:",
     .min = 1,
     .max = 64,
     .reloadable = false,
     .meta = "Ar text",
     .documentation = "What all keys of this broker on the Redis server begin with; daemons that "
                      "share it are one relay.\n"
                      "Of type nats: the name of the stream, with which its subjects begin, of "
                      "letters, digits, - and _; fanhorn where none is given."},
    {.name = "commands",
     .type = Type::Count,
     .binding = kField<&BrokerSettings::commands>,
     .preset = "20000",
     .min = 16,
     .max = 1'000'000,
     .reloadable = false,
     .documentation = "What this daemon has asked the server and has no answer to, publishes above "
                      "all; and at most 64 MB of it.\n"
                      "Beyond, publishers are answered with 503."},
    {.name = "path",
     .type = Type::Text,
     .binding = kField<&BrokerSettings::path>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_path,
     .reloadable = false,
     .meta = "Ar path",
     .documentation =
         "Of type local: a folder for a log of what it keeps, made if need be; no other daemon or "
         "broker may use it.\n"
         "What was published and answered is there again after a restart, with its ids: histories, "
         "retained values, idempotency keys, read markers.\n"
         "All of it is in memory too; the log is as large as what is kept, twice, and 64 MB.\n"
         "When the disk is full or fails, publishers are answered with 503 until it works again, "
         "which is tried once a second.\n"
         "A torn end of the log, which a crash leaves, is cut at the start; other damage is "
         "refused.\n"
         "Do not put an older copy of the folder in its place: ids would be given twice.\n"
         "Empty: a restart forgets everything, and subscribers that come back are told so."},
    {.name = "sync",
     .type = Type::Choice,
     .binding = kField<&BrokerSettings::sync>,
     .preset = "always",
     .choices = "always 1s",
     .reloadable = false,
     .documentation =
         "With path, when a message is stored, and its publisher answered: always, when it is on "
         "the disk; messages that come at once go there together.\n"
         "With 1s, when it is written, and once a second all is put on the disk: a crash of the "
         "daemon loses nothing, one of the system a second, which subscribers that come back are "
         "told."},
    {.name = "log_queue",
     .type = Type::Size,
     .binding = kField<&BrokerSettings::log_queue>,
     .preset = "64m",
     .min = kKilo,
     .max = kGiga,
     .reloadable = false,
     .documentation =
         "With path, bytes of messages that wait for the log, and of joins and leaves, which wait "
         "behind them.\n"
         "Beyond, publishers are answered with 503, and who comes or goes is not told."},
};

} // namespace

std::span<const Row> broker_rows() {
    return kBrokerRows;
}

} // namespace fanhorn
