// SPDX-License-Identifier: Apache-2.0
// Records as connections again, in the process that goes on.
#include "relay/poll_subscriber.h"
#include "relay/session.h"
#include "server/commands.h"
#include "server/handed.h"
#include "server/socket_connection.h"
#include "server/subscribe_options.h"
#include "server/users.h"
#include "server/worker.h"

#include <algorithm>

namespace fanhorn {

namespace {

// So that there are not as many lists of deadlines as connections.
constexpr Millis kDeadlineStep = 100;

// What the configuration has for the channels of a part. False: not all are there any more.
bool find_settings(const Worker& worker, const HandedPart& part,
                   std::vector<const ChannelSettings*>& settings, FilterRef& filter) {
    for (const std::string& channel : part.channels) {
        settings.push_back(worker.directory().settings_for(channel));
        if (!settings.back() || settings.back()->broker != settings.front()->broker)
            return false;
    }
    return part.filter.empty() || !read_filter(part.filter, part.channels, settings, filter);
}

// That asks for the same encoding: mostly the one that was made last. Null: there is none.
const http::Request* request_for(const Handed& handed) {
    static const http::ParserLimits kLimits;
    static thread_local http::RequestParser parser(kLimits);
    static thread_local std::string last;
    const std::string text =
        "GET /?" + handed.query + " HTTP/1.1\r\nHost: -\r\n" + handed.lines + "\r\n";
    if (text != last) {
        last.clear();
        parser.restart();
        if (parser.feed(text).status != http::RequestParser::Status::Head)
            return nullptr;
        last = text;
    }
    return &parser.head().request;
}

Since behind(Position position) {
    return {.kind = Since::Kind::After, .count = 0, .position = position};
}

} // namespace

void Handover::place(Worker& worker, int socket, const Handed& handed) {
    ListenerEnd* listener = worker.listener(handed.listener);
    CHECK(listener);
    auto* connection = new SocketConnection(Ref<ListenerEnd>(listener), socket);
    connection->is_proxy_due_ = handed.is_proxy_due;
    connection->is_fresh_ = handed.is_fresh;
    if (handed.has_client)
        connection->set_client(handed.peer, handed.client);
    worker.place(*connection, listener->settings, handed.goes_at);
    begin(*connection, handed);
}

void Handover::begin(SocketConnection& connection, const Handed& handed) {
    switch (handed.kind) {
    case Handed::Kind::Preface:
        connection.enter(State::Preface);
        break;
    case Handed::Kind::Http:
        begin_http(connection, handed);
        break;
    default:
        if (!begin_subscriber(connection, handed))
            return connection.drop(); // it comes back, and is told why not
    }
    if (connection.state() == State::Closed || handed.due_at == 0)
        return;
    const Millis left = std::max<Millis>(handed.due_at - connection.worker().now(), 0);
    connection.arm((left / kDeadlineStep + 1) * kDeadlineStep);
}

void Handover::watch(Connection& connection) {
    if (!static_cast<SocketConnection&>(connection).watch_socket())
        connection.drop();
}

void Handover::begin_http(Connection& connection, const Handed& handed) {
    if (handed.output.empty() && handed.input.empty() && handed.stash.empty())
        return;
    connection.open_exchange();
    if (!handed.input
             .empty()) { // before its output, of which there may be too much to hear anything
        std::string input = handed.input;
        connection.feed(input);
    }
    if (handed.has_body && connection.state_ == State::Body) {
        connection.counters().requests.subtract(1); // its head has been counted before
        go_on_with_body(*connection.exchange_, handed);
    }
    if (!connection.exchange_ || connection.state_ == State::Closed)
        return;
    connection.exchange_->out.insert(0, handed.output);
    connection.exchange_->stash += handed.stash;
    if (connection.exchange_->out_pending() > 0)
        connection.flush_out();
    else if (!handed.stash.empty())
        connection.read_in_next_turn();
}

// Its head has been read again, and nothing of it.
void Handover::go_on_with_body(Exchange& exchange, const Handed& handed) {
    exchange.reader.go_on(
        handed.place); // unpack_handed() has seen to it that there is such a place
    exchange.has_begun = handed.has_begun;
    if (exchange.lines)
        exchange.lines->set_rest(handed.body);
    else
        exchange.body = handed.body;
}

bool Handover::begin_subscriber(Connection& connection, const Handed& handed) {
    Worker& worker = connection.worker();
    const auto& parts = handed.subscriber.parts;
    Wish wish;
    size_t channels = 0;
    for (const HandedPart& part : parts)
        channels += part.channels.size();
    if (!parts.empty()) {
        wish.since = behind(parts[0].position);
        if (!find_settings(worker, parts[0], wish.settings, wish.filter))
            return false;
    }
    wish.end = &worker.directory().end_for(wish.settings.empty() ? worker.config().defaults
                                                                 : *wish.settings[0]);
    wish.connection = handed.connection;
    wish.heartbeat = handed.heartbeat;
    if (handed.kind != Handed::Kind::Session)
        wish.channels = parts[0].channels;
    auto opening = open(connection, handed, wish);
    if (!opening)
        return false;
    wish.encoding = opening->encoding;
    connection.set_use(wish.encoding->use());
    connection.inbound_ = std::move(opening->inbound);
    connection.enter(handed.kind == Handed::Kind::Poll ? State::Polling : State::Streaming);
    begin_standing(connection, handed, channels);
    if (handed.kind == Handed::Kind::Poll)
        begin_poll(connection, handed, std::move(wish), std::move(*opening));
    else if (handed.kind == Handed::Kind::Stream)
        begin_stream(connection, handed, wish, std::move(*opening));
    else
        begin_session(connection, handed, wish, std::move(*opening));
    if (connection.state() == State::Streaming && !handed.input.empty()) {
        std::string input = handed.input;
        connection.hear(input);
    }
    return true;
}

// As its transport opens it for a request that asks for the same.
std::optional<Opening> Handover::open(const Connection& connection, const Handed& handed,
                                      const Wish& wish) {
    Worker& worker = connection.worker();
    Transport* transport = worker.transport(handed.transport);
    const http::Request* request = request_for(handed);
    if (!transport || !request)
        return std::nullopt;
    const auto& limits = worker.config().limits;
    size_t message_size = 0;
    for (const ChannelSettings* each : wish.settings)
        message_size = std::max(message_size, each->message_size);
    const bool is_session = handed.kind == Handed::Kind::Session;
    static const std::string kNoHeaders;
    auto opened = transport->open({.request = *request,
                                   .channels = wish.channels,
                                   .settings = wish.settings,
                                   .since = wish.since,
                                   .filter = wish.filter.get(),
                                   .is_envelope = request->parameter("envelope") != nullptr,
                                   .connection = wish.connection,
                                   .headers = kNoHeaders,
                                   .message_size = is_session ? limits.body_size : message_size,
                                   .fragments = limits.ws_fragments,
                                   .compress = true,
                                   .is_private = false,
                                   .is_resumed = true});
    if (auto* opening = std::get_if<Opening>(&opened))
        return std::move(*opening);
    return std::nullopt;
}

void Handover::begin_standing(Connection& connection, const Handed& handed, size_t channels) {
    if (!handed.has_standing)
        return;
    Standing& standing = connection.standing();
    for (const IdentityRef& each : handed.standing.identities)
        standing.identities.take(each);
    standing.publishes_to = handed.standing.publishes_to;
    standing.channels = static_cast<uint32_t>(channels);
    connection.worker().users().add(standing, handed.standing.since);
    connection.expire_on_time();
}

void Handover::begin_poll(Connection& connection, const Handed& handed, Wish&& wish,
                          Opening&& opening) {
    opening.poll.headers = handed.headers;
    opening.poll.keep_alive = handed.keep_alive;
    opening.poll.max_messages = handed.max_messages;
    auto subscriber = std::make_unique<PollSubscriber>(connection, wish, std::move(opening.poll));
    PollSubscriber& poll = *subscriber;
    connection.subscriber_ = std::move(subscriber);
    connection.attend(wish);
    poll.begin(std::move(wish));
}

void Handover::begin_stream(Connection& connection, const Handed& handed, const Wish& wish,
                            Opening&& /*opening*/) {
    auto subscriber =
        std::make_unique<StreamSubscriber>(connection, wish, handed.subscriber.unsent);
    StreamSubscriber& stream = *subscriber;
    connection.subscriber_ = std::move(subscriber);
    stream.resume(handed.subscriber.owes_position, handed.subscriber.parts[0].is_behind);
    stream.begin(wish);
    if (connection.state() == State::Streaming)
        connection.attend(wish);
}

void Handover::begin_session(Connection& connection, const Handed& handed, const Wish& wish,
                             Opening&& opening) {
    Session& session = connection.make_session(wish, handed.subscriber.unsent, opening.patching);
    session.resume(handed.subscriber);
    for (const HandedPart& part : handed.subscriber.parts) {
        Session::Step step{.channels = part.channels,
                           .since = behind(part.position),
                           .is_resumed = part.is_caught_up,
                           .is_behind = part.is_behind,
                           .is_patched = part.is_patched};
        if (!find_settings(connection.worker(), part, step.settings, step.filter) ||
            &connection.worker().directory().end_for(*step.settings[0]) != wish.end)
            return connection.drop();
        session.subscribe(std::move(step));
    }
}

} // namespace fanhorn
