// SPDX-License-Identifier: Apache-2.0
// Connections as records, in the process that ends.
#include "base/text.h"
#include "relay/poll_subscriber.h"
#include "server/handed.h"
#include "server/socket_connection.h"
#include "server/worker.h"

namespace fanhorn {

namespace {

// The lines of a head without those of that field.
std::string without_expectation(std::string_view head) {
    constexpr std::string_view kField = "expect:";
    std::string rest;
    while (!head.empty()) {
        const std::string_view line = head.substr(0, head.find('\n') + 1);
        if (!equal_ignoring_case(line.substr(0, kField.size()), kField))
            rest += line;
        head.remove_prefix(line.size());
    }
    return rest;
}

} // namespace

std::optional<Handed> Handover::pack(const Connection& connection) {
    if (connection.plain_socket() < 0)
        return std::nullopt;
    Handed handed;
    handed.listener = connection.listener_key();
    handed.is_fresh = connection.is_fresh_;
    handed.is_proxy_due = static_cast<const SocketConnection&>(connection).is_proxy_due_;
    handed.has_client = connection.has_client_;
    if (handed.has_client) {
        handed.peer = connection.peer();
        handed.client = connection.client();
    }
    handed.due_at = connection.is_armed() ? connection.at : 0;
    switch (connection.state_) {
    case State::Preface:
        handed.kind = Handed::Kind::Preface;
        return handed;
    case State::Idle:
    case State::Head:
    case State::Body:
        return pack_http(connection, handed) ? std::optional(std::move(handed)) : std::nullopt;
    case State::Polling:
    case State::Streaming:
        return pack_subscriber(connection, handed) ? std::optional(std::move(handed))
                                                   : std::nullopt;
    default:
        return std::nullopt;
    }
}

// A request's head is read again; of its body it is known where it is.
bool Handover::pack_http(const Connection& connection, Handed& handed) {
    handed.kind = Handed::Kind::Http;
    if (!connection.exchange_)
        return true;
    const Exchange& exchange = *connection.exchange_;
    handed.output = exchange.out.substr(exchange.out_sent);
    handed.stash = exchange.stash;
    if (connection.state_ != State::Idle)
        handed.input = exchange.head_bytes;
    if (connection.state_ != State::Body)
        return true;
    if (exchange.lines && exchange.lines->open() > 0)
        return false;
    if (exchange.request.expects_continue) // it has been invited
        handed.input = without_expectation(handed.input);
    handed.has_body = true;
    handed.place = exchange.reader.place();
    handed.body = exchange.lines ? exchange.lines->rest() : exchange.body;
    handed.has_begun = exchange.has_begun;
    return true;
}

bool Handover::pack_subscriber(const Connection& connection, Handed& handed) {
    if (connection.exchange_ || !pack_standing(connection, handed))
        return false;
    const Subscriber& subscriber = *connection.subscriber_;
    auto parts = subscriber.hand_over();
    if (!parts)
        return false;
    for (const HandedPart& part : parts->parts)
        for (const std::string& channel : part.channels)
            if (!connection.worker().directory().settings_for(channel))
                return false; // one of the house's own
    const bool is_session = connection.takes_commands();
    const Encoding& encoding = subscriber.encoding();
    handed.transport = use_name(encoding.use());
    const auto manner =
        connection.worker().transport(handed.transport)->manner_of(encoding, is_session);
    handed.query = manner.query;
    handed.lines = manner.lines;
    handed.connection = subscriber.connection();
    handed.heartbeat = subscriber.heartbeat_every();
    handed.subscriber = std::move(*parts);
    if (connection.inbound_)
        connection.inbound_->append_partial(handed.input);
    handed.kind = is_session ? Handed::Kind::Session : Handed::Kind::Stream;
    if (connection.state_ == State::Polling)
        pack_poll(connection, handed);
    return true;
}

void Handover::pack_poll(const Connection& connection, Handed& handed) {
    const auto& poll = static_cast<const PollSubscriber&>(*connection.subscriber_);
    handed.kind = Handed::Kind::Poll;
    handed.headers = poll.asked().headers;
    handed.keep_alive = poll.asked().keep_alive;
    handed.max_messages = poll.asked().max_messages;
}

// Not where somebody is being asked for it.
bool Handover::pack_standing(const Connection& connection, Handed& handed) {
    const Standing* standing = connection.standing_.get();
    handed.has_standing = standing != nullptr;
    if (!standing)
        return true;
    if (!standing->parked.empty() || (standing->commands && !standing->commands->is_idle()))
        return false;
    handed.standing.identities = standing->identities.all();
    handed.standing.publishes_to = standing->publishes_to;
    handed.standing.since = standing->since;
    return true;
}

} // namespace fanhorn
