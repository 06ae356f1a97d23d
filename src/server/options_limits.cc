// SPDX-License-Identifier: Apache-2.0
// The rows of [limits].
#include "server/config.h"
#include "server/options_rows.h"

namespace fanhorn {

namespace {

constexpr Row kLimitsRows[] = {
    {.name = "header_size",
     .type = Type::Size,
     .binding = kField<&LimitSettings::header_size>,
     .preset = "16k",
     .min = kKilo,
     .max = kMega,
     .documentation = "Bytes of a request line and its header fields; answered with 431 beyond."},
    {.name = "header_count",
     .type = Type::Count,
     .binding = kField<&LimitSettings::header_count>,
     .preset = "100",
     .min = 8,
     .max = 10'000,
     .documentation = "Header fields of one request; answered with 431 beyond."},
    {.name = "uri_size",
     .type = Type::Size,
     .binding = kField<&LimitSettings::uri_size>,
     .preset = "8k",
     .min = 64,
     .max = kMega,
     .documentation = "Bytes of a request's target; answered with 414 beyond."},
    {.name = "header_timeout",
     .type = Type::Duration,
     .binding = kField<&LimitSettings::header_timeout>,
     .preset = "10s",
     .min = 100,
     .max = kHour,
     .documentation = "Time for a request's header, from its first byte to its last; answered "
                      "with 408 beyond."},
    {.name = "body_size",
     .type = Type::Size,
     .binding = kField<&LimitSettings::body_size>,
     .preset = "1m",
     .min = kKilo,
     .max = kGiga,
     .documentation = "Bytes of a request's body, and of one line of a streamed publish; answered "
                      "with 413 beyond."},
    {.name = "body_timeout",
     .type = Type::Duration,
     .binding = kField<&LimitSettings::body_timeout>,
     .preset = "30s",
     .min = 100,
     .max = kHour,
     .documentation = "Time for a request's body, in a streamed publish for each line; answered "
                      "with 408 beyond."},
    {.name = "idle_timeout",
     .type = Type::Duration,
     .binding = kField<&LimitSettings::idle_timeout>,
     .preset = "75s",
     .min = 100,
     .max = kDay,
     .documentation = "How long a connection may wait for its next request; closed beyond.\n"
                      "Subscriptions are not touched by it."},
    {.name = "send_timeout",
     .type = Type::Duration,
     .binding = kField<&LimitSettings::send_timeout>,
     .preset = "60s",
     .min = 100,
     .max = kHour,
     .documentation = "How long a peer may take no byte of what is due to it; closed beyond.\n"
                      "What the system has taken for it, and it has not confirmed, has 5 seconds "
                      "more."},
    {.name = "subscriptions",
     .type = Type::Count,
     .binding = kField<&LimitSettings::subscriptions>,
     .preset = "128",
     .min = 1,
     .max = 100'000,
     .documentation = "Channels of one connection; answered with 400 beyond."},
    {.name = "filters",
     .type = Type::Count,
     .binding = kField<&LimitSettings::filters>,
     .preset = "100",
     .min = 1,
     .max = 10'000,
     .documentation = "Different filters that the subscribers of one channel have on one worker, "
                      "each counted once for every form in which its messages are sent (plain or "
                      "enveloped, compressed or not); answered with 503 beyond.\n"
                      "What short polls filter does not count."},
    {.name = "channels",
     .type = Type::Count,
     .binding = kField<&LimitSettings::channels>,
     .preset = "1m",
     .min = 1,
     .max = 1'000'000'000,
     .documentation = "Channels in one broker; answered with 503 beyond.\n"
                      "A channel without subscribers and history takes no place."},
    {.name = "wildcards",
     .type = Type::Count,
     .binding = kField<&LimitSettings::wildcards>,
     .preset = "10k",
     .min = 1,
     .max = 10'000'000,
     .documentation = "Different wildcards that are subscribed to in one broker; answered with 503 "
                      "beyond."},
    {.name = "wildcard_channels",
     .type = Type::Count,
     .binding = kField<&LimitSettings::wildcard_channels>,
     .preset = "1k",
     .min = 1,
     .max = 1'000'000,
     .documentation =
         "Channels that a wildcard may match for its subscriber to be sent what their histories "
         "have and what they retain; sixteen times as many names are looked at for them.\n"
         "Where there are more, its subscriber is told a gap instead; what is published from then "
         "on is not touched by it."},
    {.name = "read_markers",
     .type = Type::Count,
     .binding = kField<&LimitSettings::read_markers>,
     .preset = "1m",
     .min = 1,
     .max = 1'000'000'000,
     .documentation = "Read markers in one broker, one for each user and channel; beyond, the one "
                      "that moved least recently is forgotten.\n"
                      "Each takes about 160 bytes and the two names."},
    {.name = "user_read_markers",
     .type = Type::Count,
     .binding = kField<&LimitSettings::user_read_markers>,
     .preset = "1k",
     .min = 1,
     .max = 1'000'000'000,
     .documentation = "The same of one user, who cannot push out those of others by his own."},
    {.name = "auth_requests",
     .type = Type::Count,
     .binding = kField<&LimitSettings::auth_requests>,
     .preset = "64",
     .min = 1,
     .max = 100'000,
     .documentation = "Questions of one worker to the application of an [auth] section of type "
                      "callback, under way and waiting; answered with 503 beyond.\n"
                      "What is asked about one token at the same time is one question."},
    {.name = "mailbox_bytes",
     .type = Type::Size,
     .binding = kField<&LimitSettings::mailbox_bytes>,
     .preset = "64m",
     .min = 64 * kKilo,
     .max = 16 * kGiga,
     .documentation = "Bytes of messages on their way to one worker.\n"
                      "Beyond, only marks are kept, and the worker reads the histories again."},
    {.name = "handshakes",
     .type = Type::Count,
     .binding = kField<&LimitSettings::handshakes>,
     .preset = "16",
     .min = 1,
     .max = 1000,
     .documentation =
         "TLS handshakes that a worker goes on with at once, between two looks at all else.\n"
         "Further ones wait, unread, first come, first served; header_timeout counts on."},
    {.name = "connections_per_address",
     .type = Type::Count,
     .binding = kField<&LimitSettings::connections_per_address>,
     .preset = "0",
     .max = 100'000'000,
     .documentation =
         "Open connections of one address, of IPv6 of one network of 64 bits, to the listeners "
         "that serve subscribe or client; one more is answered with 503 and closed, over TLS "
         "closed; 0: no limit.\n"
         "Where thousands share an address, as behind the gateways of mobile networks, it has "
         "to be high.\n"
         "A connection of one of the trusted_proxies, or a stream of HTTP/2 in it, counts for "
         "the client that its first request names, which is answered with 503 beyond; other "
         "streams count with their connection, and other unix sockets not at all."},
    {.name = "connection_rate",
     .type = Type::Rate,
     .binding = kField<&LimitSettings::connection_rate>,
     .preset = "0",
     .min = 1,
     .max = 1'000'000,
     .documentation =
         "How many connections such an address may open in a second (50/s), a minute (300/m) or "
         "an hour; as many may come at once; 0: as many as it likes.\n"
         "Beyond it they are answered as beyond connections_per_address."},
    {.name = "accept_rate",
     .type = Type::Rate,
     .binding = kField<&LimitSettings::accept_rate>,
     .preset = "0",
     .min = 1,
     .max = 1'000'000,
     .documentation =
         "How many connections each worker accepts in a second (2000/s), a minute or an hour, of "
         "the listeners that serve subscribe or client; a quarter of them may come at once; 0: as "
         "many as it can, 64 of a listener between two looks at all else.\n"
         "Beyond it nobody is refused: who comes waits in the listener's queue, first come, first "
         "served; where its backlog is full, the system has clients try again after a second, "
         "then two, then four.\n"
         "What matters to others is most of all what new clients ask for, such as TLS and the "
         "histories of their channels: it is for storms that are dearer than a worker can bear, "
         "after an outage for example."},
    {.name = "connections_per_user",
     .type = Type::Count,
     .binding = kField<&LimitSettings::connections_per_user>,
     .preset = "1k",
     .max = 100'000'000,
     .documentation =
         "Subscribed connections of one user, whom tokens name, polls that are held among them; "
         "one more is answered with 429; 0: no limit.\n"
         "One whose token comes in a command is told to come back later."},
    {.name = "channels_per_user",
     .type = Type::Count,
     .binding = kField<&LimitSettings::channels_per_user>,
     .preset = "10k",
     .max = 1'000'000'000,
     .documentation =
         "Channels, and wildcards, that all those connections of one user have together, his own "
         "channel among them; a channel counts once for each connection that has it.\n"
         "A subscription that would be beyond is answered with 429, a command with the error "
         "rate_limited, and what he has goes on; 0: no limit.\n"
         "Channels that the backend ends count until the connection's next command or "
         "heartbeat.\n"
         "Workers that place one each at the same moment may come above it by as many."},
    {.name = "connection_max_age",
     .type = Type::Duration,
     .binding = kField<&LimitSettings::connection_max_age>,
     .preset = "0",
     .max = 30 * kDay,
     .documentation =
         "How old connections to the listeners that serve subscribe or client may become, each "
         "give or take a fifth, so that those that came together do not go together; 0: as old "
         "as they like.\n"
         "They are then ended as by QUIT, to come back within a second and resume: a WebSocket is "
         "closed with 1001 and the reason retry=MILLISECONDS, a stream of Server-Sent Events is "
         "given a retry: and ends, a poll is answered and its connection closed, HTTP/2 is told "
         "GOAWAY, with all of its streams.\n"
         "Who is being answered is answered before that, and what a reload changes is for those "
         "who come after it.\n"
         "It is for load balancers, where clients should find their way to machines that are "
         "new."},
    {.name = "memory",
     .type = Type::Share,
     .binding = kField<&LimitSettings::memory>,
     .preset = "80%",
     .min = 16 * kMega,
     .max = kGiga * kMega,
     .documentation =
         "Memory of the whole daemon, in bytes, or as a share of what the machine and its "
         "control group have; looked at once a second.\n"
         "From 80 % of it on, subscriptions and polls are answered with 503, to come back in 5 "
         "to 30 seconds; those that there are go on.\n"
         "From 90 % on, of the subscribers whose sockets are full, and of the clients that do not "
         "take their answers, polls' among them, those for whom the most waits are closed, an "
         "eighth each second and 16 at least on each worker; they may resume.\n"
         "Listeners that serve neither subscribe nor client are not touched by it.\n"
         "From 95 % on, if that was not enough, publishes are answered with 503, and half of "
         "those clients are closed each second.\n"
         "What is kept by histories goes with time, or by deletion of their channels."},
    {.name = "ws_fragments",
     .type = Type::Count,
     .binding = kField<&LimitSettings::ws_fragments>,
     .preset = "10k",
     .min = 1,
     .max = 1'000'000,
     .documentation = "Frames of one WebSocket message from a client; closed with 1009 beyond."},
    {.name = "http2_streams",
     .type = Type::Count,
     .binding = kField<&LimitSettings::http2_streams>,
     .preset = "100",
     .min = 1,
     .max = 10'000,
     .documentation = "Streams of one HTTP/2 connection at a time; further ones are refused.\n"
                      "A client that knew, and opens them all the same, loses the connection."},
    {.name = "http2_resets",
     .type = Type::Count,
     .binding = kField<&LimitSettings::http2_resets>,
     .preset = "200",
     .min = 10,
     .max = 1'000'000,
     .documentation =
         "Streams of one HTTP/2 connection that may end before their answer does, for whatever "
         "reason, in a minute.\n"
         "Beyond, the connection is closed with ENHANCE_YOUR_CALM.\nA page that is left ends all "
         "streams that it has, so let it be above http2_streams."},
    {.name = "http2_frames",
     .type = Type::Count,
     .binding = kField<&LimitSettings::http2_frames>,
     .preset = "200",
     .min = 10,
     .max = 1'000'000,
     .documentation =
         "Frames of one HTTP/2 connection that carry nothing, in a second: PING, SETTINGS, "
         "PRIORITY, and DATA or CONTINUATION that is empty.\n"
         "Beyond, the connection is closed with ENHANCE_YOUR_CALM."},
};

} // namespace

std::span<const Row> limits_rows() {
    return kLimitsRows;
}

} // namespace fanhorn
