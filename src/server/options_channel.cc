// SPDX-License-Identifier: Apache-2.0
// The rows of [channel PATTERN] and [defaults channel].
#include "relay/claim_rule.h"
#include "server/config.h"
#include "server/options_rows.h"

namespace fanhorn {

namespace {

Result<std::string> check_tag_name(std::string_view text) {
    if (text.find_first_of(",=") != text.npos)
        return Error{"is not the name of a tag: it has no ',' and no '='"};
    return std::string(text);
}

Result<std::string> check_access(std::string_view text) {
    if (auto access = parse_access(text); !access)
        return Error{access.error()};
    return std::string(text);
}

constexpr Row kChannelRows[] = {
    {.name = "transports",
     .type = Type::Choices,
     .binding = kField<&ChannelSettings::transports>,
     .preset = "websocket, sse, longpoll, poll",
     .min = 1,
     .choices = "websocket sse longpoll poll",
     .documentation = "What clients may subscribe with; the order is the preference that they "
                      "are told."},
    {.name = "subscribe",
     .type = Type::Text,
     .binding = kField<&ChannelSettings::subscribe>,
     .preset = "public",
     .min = 1,
     .max = kMaxTextBytes,
     .check = check_access,
     .meta = "Cm public | deny | Ar name",
     .documentation =
         "Who may subscribe: everybody, nobody, or who has a token of the [auth] section of that "
         "name, whose channels include this one.\n"
         "Behind the name, and instead of what the token lists, may stand a rule: "
         "users, claim:rooms contains {room} asks for a token whose claim rooms has what stands "
         "for {room} in the channel's name, users, claim:sub equals {id} for one that is it.\n"
         "Where there is a rule, wildcards cannot be subscribed to."},
    {.name = "client_publish",
     .type = Type::Text,
     .binding = kField<&ChannelSettings::client_publish>,
     .preset = "off",
     .min = 1,
     .max = kMaxTextBytes,
     .check = check_access,
     .meta = "Cm public | off | Ar name",
     .documentation = "Who may publish through the public listener: everybody, nobody, or who has "
                      "a token of the [auth] section of that name, which lets it publish to this "
                      "channel, or, with a rule as in subscribe, whose claims fit it.\n"
                      "Publishing through a listener that serves publish is not touched by it."},
    {.name = "publish_rate",
     .type = Type::Rate,
     .binding = kField<&ChannelSettings::publish_rate>,
     .preset = "0",
     .min = 1,
     .max = 1'000'000,
     .documentation =
         "How many messages a client may publish through the public listener in a second (5/s), a "
         "minute (300/m) or an hour; as many may come at once; 0: as many as it likes.\n"
         "Counted for all channels of the section together, of each connection, of each address "
         "(of IPv6 its first 64 bits) for what comes by POST, and, where a token names a user, of "
         "each user, by each worker for itself; behind a proxy in 'trusted_proxies' the address is "
         "its client's.\n"
         "Beyond, a POST is answered with 429, a command with the error rate_limited, and a plain "
         "WebSocket closed with 1008."},
    {.name = "broker",
     .type = Type::Text,
     .binding = kField<&ChannelSettings::broker>,
     .preset = "",
     .max = kMaxTextBytes,
     .meta = "Ar name",
     .documentation = "The name of a [broker] section; empty: the memory of this daemon.\n"
                      "All channels that one connection subscribes to must have the same."},
    {.name = "history",
     .type = Type::Count,
     .binding = kField<&ChannelSettings::history>,
     .preset = "100",
     .max = 10'000'000,
     .documentation = "Messages that are kept for clients that resume or come late."},
    {.name = "history_ttl",
     .type = Type::Duration,
     .binding = kField<&ChannelSettings::history_ttl>,
     .preset = "10m",
     .min = 100,
     .max = 365 * kDay,
     .documentation = "How long they are kept."},
    {.name = "history_bytes",
     .type = Type::Size,
     .binding = kField<&ChannelSettings::history_bytes>,
     .preset = "1m",
     .max = 16 * kGiga,
     .documentation = "How many bytes of them are kept for one channel."},
    {.name = "message_size",
     .type = Type::Size,
     .binding = kField<&ChannelSettings::message_size>,
     .preset = "64k",
     .min = 1,
     .max = 64 * kMega,
     .documentation = "Bytes of one message's payload; answered with 413 beyond, on WebSocket "
                      "closed with 1009."},
    {.name = "heartbeat",
     .type = Type::Duration,
     .binding = kField<&ChannelSettings::heartbeat>,
     .preset = "25s",
     .min = kSecond,
     .max = kHour,
     .documentation = "How often a connection on which nothing happens is kept alive and told its "
                      "position.\n"
                      "The intermediaries on the way must allow more idle time than this."},
    {.name = "slow_consumer",
     .type = Type::Choice,
     .binding = kField<&ChannelSettings::slow_consumer>,
     .preset = "gap",
     .choices = "gap latest disconnect",
     .documentation = "What happens to a subscriber for whom more than slow_consumer_limit waits: "
                      "gap tells it the gap and goes on at the oldest message within the limit, "
                      "latest tells it and goes on with what comes next, disconnect closes the "
                      "connection, which may resume."},
    {.name = "slow_consumer_limit",
     .type = Type::Size,
     .binding = kField<&ChannelSettings::slow_consumer_limit>,
     .preset = "256k",
     .min = 4 * kKilo,
     .max = kGiga,
     .documentation =
         "Bytes of live messages that may wait for one subscriber, each counted with 32 "
         "bytes for its entry; one like the oldest may be half sent and counts as well.\n"
         "What it replays from the history does not count."},
    {.name = "presence",
     .type = Type::Switch,
     .binding = kField<&ChannelSettings::presence>,
     .preset = "off",
     .documentation = "Whether the channel knows which users are on it.\n"
                      "A user is who a token names; several connections of one count once."},
    {.name = "presence_grace",
     .type = Type::Duration,
     .binding = kField<&ChannelSettings::presence_grace>,
     .preset = "10s",
     .max = 3'600'000,
     .documentation = "How long after his last connection a user is still there: who reconnects "
                      "within it has neither left nor joined."},
    {.name = "presence_users",
     .type = Type::Count,
     .binding = kField<&ChannelSettings::presence_users>,
     .preset = "10k",
     .min = 1,
     .max = 1'000'000,
     .documentation = "Users of one channel that are listed; more are not, and do not join."},
    {.name = "subscribers",
     .type = Type::Count,
     .binding = kField<&ChannelSettings::subscribers>,
     .preset = "0",
     .max = 1'000'000'000,
     .documentation =
         "Subscribers of one channel on this node; one more is answered with 503; 0: no limit.\n"
         "Workers that place one each at the same moment may come above it by one each."},
    {.name = "joins",
     .type = Type::Switch,
     .binding = kField<&ChannelSettings::joins>,
     .preset = "off",
     .documentation =
         "Whether subscribers with envelopes are told who joins and who leaves, and, as "
         "a join, of whom the info changed; wants presence."},
    {.name = "conflate",
     .type = Type::Text,
     .binding = kField<&ChannelSettings::conflate>,
     .preset = "",
     .max = kMaxTextBytes,
     .check = check_tag_name,
     .meta = "Ar tag",
     .documentation =
         "With a tag's name here, a subscriber for whom more than slow_consumer_limit waits is not "
         "told a gap but sent, from the history, only the newest message with each value of that "
         "tag, and all that have no such tag.\n"
         "What the history has lost is told as a gap.\n"
         "For slow_consumer = gap; empty: no such thing."},
    {.name = "wildcard",
     .type = Type::Switch,
     .binding = kField<&ChannelSettings::wildcard>,
     .preset = "off",
     .documentation =
         "Whether the clients of fanhorn.v1 may subscribe to many of these channels by a pattern, "
         "as scores:*, that matches nothing beyond this section, those that come later among "
         "them.\n"
         "Channels that a more specific section governs are not among them, nor are reserved "
         "ones.\n"
         "A pattern counts as one channel of its connection."},
    {.name = "filter",
     .type = Type::Switch,
     .binding = kField<&ChannelSettings::filter>,
     .preset = "on",
     .documentation = "Whether subscribers may ask for a part of the messages, with "
                      "filter=kind=goal|card,minute>=45 in the URL: by the tags that the publisher "
                      "gave them.\n"
                      "Each different filter costs the comparison of every message once on each "
                      "worker; filters in [limits] bounds their number."},
    {.name = "delta",
     .type = Type::Choice,
     .binding = kField<&ChannelSettings::delta>,
     .preset = "off",
     .choices = "off json-patch",
     .documentation =
         "Whether the clients that ask for it are sent what changed between two JSON messages "
         "(RFC 6902), where that is smaller than the message; made once for all of them."},
    {.name = "compress",
     .type = Type::Switch,
     .binding = kField<&ChannelSettings::compress>,
     .preset = "on",
     .documentation = "Whether messages are compressed for the WebSocket clients that offer it, "
                      "once for all of them."},
};

} // namespace

std::span<const Row> channel_rows() {
    return kChannelRows;
}

} // namespace fanhorn
