// SPDX-License-Identifier: Apache-2.0
// From a request to a subscription: channels, position, transport.
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "http/response.h"
#include "server/auth.h"
#include "server/command_members.h"
#include "server/connection.h"
#include "server/origin.h"
#include "server/subscribe_options.h"
#include "server/users.h"
#include "server/worker.h"

#include <algorithm>
#include <array>
#include <memory>

namespace fanhorn {

namespace {

constexpr size_t kUsualHeaderBytes = 256;

// The same on every transport; the header wins.
const std::string* find_since(const http::Request& request) {
    if (const std::string* header = request.header("Last-Event-ID"); header && !header->empty())
        return header;
    for (const char* name : {"since", "last_event_id", "lastEventId", "lastEventID"})
        if (const std::string* parameter = request.parameter(name))
            return parameter;
    return nullptr;
}

http::Problem bad_position() {
    return http::problem("bad_position",
                         "'since' is an id like k3f9q2.1042, latest, earliest, 0, or -N");
}

std::string join(const std::vector<std::string>& items, std::string_view between) {
    std::string out;
    for (const std::string& item : items)
        out.append(out.empty() ? "" : between).append(item);
    return out;
}

// 406, with the transports that all of the channels allow.
http::Problem not_acceptable(const std::vector<const ChannelSettings*>& settings,
                             std::string_view asked) {
    std::vector<std::string> allowed;
    for (const std::string& name : settings[0]->transports)
        if (std::all_of(settings.begin(), settings.end(),
                        [&](const ChannelSettings* each) { return each->allows(name); }))
            allowed.push_back(name);
    const std::string names = join(allowed, ", ");
    http::Problem problem =
        http::problem("not_acceptable",
                      asked.empty() ? "ask for one of: " + names
                                    : "'" + std::string(asked) +
                                          "' is not a transport of this channel; it has: " + names);
    problem.members = "\"transports\":[";
    for (size_t i = 0; i < allowed.size(); ++i) {
        problem.members += i ? "," : "";
        append_json_string(problem.members, allowed[i]);
    }
    problem.members += ']';
    return problem;
}

// Fetched for many connections at once: a system call for each is a tenth of what a poll costs.
ConnectionId random_connection() {
    static thread_local std::array<ConnectionId, 64> ids;
    static thread_local size_t used = ids.size();
    if (used == ids.size()) {
        random_bytes(ids.data(), sizeof ids);
        used = 0;
    }
    return ids[used++];
}

} // namespace

std::optional<http::Problem>
Connection::find_channels(Caller& caller, std::vector<std::string>& channels,
                          std::vector<const ChannelSettings*>& settings) {
    channels = std::move(exchange_->channels);
    for (const std::string& name : channels) {
        const ChannelSettings* found = worker().directory().settings_for(name);
        if (!found)
            return http::problem("channel_unknown", "no [channel] section matches '" + name + "'");
        if (auto problem = caller.may_subscribe(name, *found))
            return problem;
        if (!settings.empty() && found->broker != settings[0]->broker)
            return http::problem("bad_channel", "these channels are of different brokers; a "
                                                "position belongs to one");
        settings.push_back(found);
    }
    return std::nullopt;
}

// Null where it asks for none that there is.
Transport* Connection::find_transport() const {
    const http::Request& request = exchange_->request;
    if (const std::string* name = request.parameter("transport"))
        return worker().transport(*name);
    for (const auto wanted : {Transport::Asks::Yes, Transport::Asks::Fallback})
        for (const auto& transport : worker().transports())
            if (transport->asks(request) == wanted)
                return transport.get();
    return nullptr;
}

std::variant<Transport*, http::Problem>
Connection::negotiate(const std::vector<const ChannelSettings*>& settings) const {
    Transport* chosen = find_transport();
    if (!chosen && exchange_->request.parameter("transport"))
        return http::problem("bad_option", "'transport' is websocket, sse, longpoll or poll");
    if (!chosen)
        return not_acceptable(settings, "");
    for (const ChannelSettings* each : settings)
        if (!each->allows(chosen->name()))
            return not_acceptable(settings, chosen->name());
    return chosen;
}

std::optional<http::Problem> Connection::find_filter(Wish& wish) const {
    const std::string* text = exchange_->request.parameter("filter");
    return text ? read_filter(*text, wish.channels, wish.settings, wish.filter) : std::nullopt;
}

// `since`: of the body, where there is one.
void Connection::subscribe(const std::string* since) {
    Wish wish;
    Caller caller(exchange_->request, listener_->settings, exchange_->identities, counters());
    if (auto problem = find_channels(caller, wish.channels, wish.settings))
        return send_problem(*problem);
    exchange_->may_publish =
        wish.channels.size() == 1 && caller.can_publish(wish.channels[0], *wish.settings[0]);
    const bool is_attended =
        std::any_of(wish.settings.begin(), wish.settings.end(),
                    [](const ChannelSettings* each) { return each->presence; });
    const bool is_session = asks_session();
    if (is_session || is_attended)
        if (auto problem = caller.introduce(worker().config().authorities))
            return send_problem(*problem);
    if (wish.channels.empty() && !is_session)
        return send_problem(http::problem("bad_channel", "name a channel: /sub/CHANNEL"));
    auto negotiated = negotiate(wish.settings);
    if (const auto* problem = std::get_if<http::Problem>(&negotiated))
        return send_problem(*problem);
    Transport& transport = *std::get<Transport*>(negotiated);
    exchange_->transport = &transport;
    if (worker().is_draining())
        return refuse_subscription(http::problem("draining", "the server is going away"));
    if (!since)
        since = find_since(exchange_->request);
    if (since) {
        const auto parsed = parse_since(*since);
        if (!parsed)
            return send_problem(bad_position());
        wish.since = *parsed;
    }
    if (auto problem = find_filter(wish))
        return send_problem(*problem);
    add_user_channel(transport, wish);
    if (exchange_->is_head) {
        Answer answer;
        answer.content_type = transport.content_type();
        return send_answer(answer);
    }
    start_subscription(transport, std::move(wish));
}

// Of whoever the tokens name: whether one connection more, with so many channels, is too much.
std::optional<http::Problem> Connection::check_user(size_t channels) {
    const Identities& held = standing_ ? standing_->identities : exchange_->identities;
    const auto& limits = worker().config().limits;
    const Users& users = worker().users();
    if (users.is_full(held.user(), limits.connections_per_user)) {
        note(Limit::ConnectionsPerUser);
        return too_many_of_user();
    }
    if (!users.has_room_for(held.user(), channels, limits.channels_per_user)) {
        note(Limit::ChannelsPerUser);
        return too_many_channels_of_user();
    }
    return std::nullopt;
}

// Of a user's own channel, null where there is none for that transport.
const ChannelSettings* Connection::user_settings(const std::string& name,
                                                 std::string_view transport) const {
    const ChannelSettings* settings = worker().directory().settings_for(name);
    const bool is_there =
        settings && !settings->subscribe.is_denied() && settings->allows(transport);
    return is_there ? settings : nullptr;
}

// Where messages name their channel, what is sent to the client's user comes as well.
void Connection::add_user_channel(const Transport& transport, Wish& wish) const {
    const std::string_view user = exchange_->identities.user();
    const std::string* envelope = exchange_->request.parameter("envelope");
    const bool has_names = wish.channels.size() != 1 || transport.has_envelopes() ||
                           transport.asks_session(exchange_->request) ||
                           (envelope && *envelope == "1");
    if (user.empty() || wish.filter || !has_names)
        return;
    std::string name = user_channel(user);
    const ChannelSettings* settings = user_settings(name, transport.name());
    if (!settings || (!wish.settings.empty() && settings->broker != wish.settings[0]->broker))
        return;
    wish.channels.push_back(std::move(name));
    wish.settings.push_back(settings);
}

// Kept messages of one channel, as a poll's answer.
void Connection::history() {
    Wish wish;
    const std::string& name = exchange_->channels[0];
    const ChannelSettings* settings = worker().directory().settings_for(name);
    if (!settings)
        return send_problem(
            http::problem("channel_unknown", "no [channel] section matches '" + name + "'"));
    wish.channels = {name};
    wish.settings = {settings};
    wish.since.kind = Since::Kind::Earliest;
    if (const std::string* since = find_since(exchange_->request)) {
        const auto parsed = parse_since(*since);
        if (!parsed)
            return send_problem(bad_position());
        wish.since = *parsed;
    }
    if (auto problem = find_filter(wish))
        return send_problem(*problem);
    start_subscription(*worker().transport("poll"), std::move(wish));
}

// Whether its stream would be one of fanhorn.v1, which may begin without a channel.
bool Connection::asks_session() const {
    const Transport* transport = find_transport();
    return transport && transport->asks_session(exchange_->request);
}

void Connection::start_subscription(Transport& transport, Wish&& wish) {
    const http::Request& request = exchange_->request;
    const auto& limits = worker().config().limits;
    wish.connection = random_connection();
    const ChannelSettings& first =
        wish.settings.empty() ? worker().config().defaults : *wish.settings[0];
    wish.end = &worker().directory().end_for(first);
    size_t message_size = 0;
    bool compress = true;
    wish.heartbeat = first.heartbeat;
    for (const ChannelSettings* each : wish.settings) {
        wish.heartbeat = std::min(wish.heartbeat, each->heartbeat);
        message_size = std::max(message_size, each->message_size);
        compress = compress && each->compress;
    }
    std::string headers;
    headers.reserve(kUsualHeaderBytes);
    headers += exchange_->cors;
    headers += "Fanhorn-Connection: ";
    append_hex(headers, wish.connection);
    headers += "\r\nVary: Accept, Origin, Last-Event-ID, Authorization\r\n";
    const std::string* envelope = request.parameter("envelope");
    const Asked asked{.request = request,
                      .channels = wish.channels,
                      .settings = wish.settings,
                      .since = wish.since,
                      .filter = wish.filter.get(),
                      .is_envelope = wish.channels.size() > 1 || (envelope && *envelope == "1"),
                      .connection = wish.connection,
                      .headers = headers,
                      .message_size =
                          transport.asks_session(request) ? limits.body_size : message_size,
                      .fragments = limits.ws_fragments,
                      .compress = compress,
                      .is_private = !exchange_->identities.empty()};
    auto opened = transport.open(asked);
    if (const auto* problem = std::get_if<http::Problem>(&opened))
        return send_problem(*problem, problem->status == 400);
    Opening& opening = std::get<Opening>(opened);
    wish.encoding = opening.encoding;
    if (!is_private(exchange_->route.kind) &&
        !worker().shared().memory.has_room_for_subscriptions()) {
        counters().shed(Shed::Subscription, to_text(client()));
        return refuse_subscription(memory_problem());
    }
    const bool is_live = !opening.is_poll || opening.poll.may_wait;
    if (is_live)
        if (const auto problem = check_user(wish.channels.size()))
            return refuse_subscription(*problem);
    if (is_live && wish.filter &&
        !worker().hub().has_room_for(*wish.filter, *wish.encoding, wish.channels, limits.filters)) {
        note(Limit::Filters);
        return refuse_subscription(too_many_filters());
    }
    if (opening.is_session)
        open_session(std::move(opening), wish);
    else if (opening.is_poll)
        open_poll(std::move(opening), std::move(wish));
    else
        open_stream(std::move(opening), wish);
}

void Connection::open_poll(Opening&& opening, Wish&& wish) {
    if (const std::string* limit = exchange_->request.parameter("limit");
        limit && exchange_->route.kind == Route::Kind::History) {
        const auto number = parse_u64(*limit);
        if (!number || *number == 0)
            return send_problem(http::problem("bad_option", "'limit' is a number above 0"));
        opening.poll.max_messages = std::min<uint64_t>(*number, PollSubscriber::kMaxMessages);
    }
    opening.poll.keep_alive = opening.poll.keep_alive && !worker().is_draining();
    if (opening.poll.keep_alive && exchange_->request.minor_version == 0)
        http::append_header(opening.poll.headers, "Connection", "keep-alive");
    const bool may_wait = opening.poll.may_wait;
    set_use(wish.encoding->use());
    enter(State::Polling);
    begin_standing(wish.channels.size());
    auto subscriber = std::make_unique<PollSubscriber>(*this, wish, std::move(opening.poll));
    PollSubscriber& poll = *subscriber;
    subscriber_ = std::move(subscriber);
    if (may_wait) {
        arm(opening.wait);
        attend(wish);
    }
    poll.begin(std::move(wish));
}

// Answers to earlier, pipelined requests come first, and a stream has no buffer for them.
bool Connection::begin_stream(Opening& opening, const Wish& wish) {
    flush_out();
    if (state_ == State::Closed)
        return false;
    if (exchange_->out_pending() > 0) {
        send_problem(http::problem("bad_request", "read your earlier answers first"), true);
        return false;
    }
    set_use(wish.encoding->use());
    inbound_ = std::move(opening.inbound);
    enter(State::Streaming);
    begin_standing(wish.channels.size());
    arm(wish.heartbeat);
    return true;
}

void Connection::open_stream(Opening&& opening, const Wish& wish) {
    if (!begin_stream(opening, wish))
        return;
    auto subscriber = std::make_unique<StreamSubscriber>(*this, wish, std::move(opening.head));
    StreamSubscriber& stream = *subscriber;
    subscriber_ = std::move(subscriber);
    if (inbound_ && exchange_->may_publish)
        standing().publishes_to = wish.channels[0];
    stream.begin(wish);
    if (state_ == State::Streaming)
        attend(wish);
}

// A refusal that may pass: an EventSource must not take it for the last word.
void Connection::refuse_subscription(const http::Problem& problem) {
    const std::string own = exchange_->transport->refusal(
        problem, exchange_->cors, problem.retry_s ? problem.retry_s * 1000 : retry_ms());
    if (own.empty())
        return send_problem(problem);
    exchange_->out += own;
    close_after_out();
}

void Connection::refuse(Start::Status status) {
    if (!exchange_) // another process answered it
        return drop();
    worker().bury(std::move(subscriber_));
    inbound_ = nullptr;
    standing_ = nullptr;
    set_use(Use::Http);
    enter(State::Answering);
    const http::Problem problem = start_problem(status);
    if (problem.status == 503)
        return refuse_subscription(problem);
    send_problem(problem);
}

void Connection::answer(std::string head, SegmentRef body) {
    if (state_ == State::Closed)
        return;
    const bool close = !static_cast<const PollSubscriber&>(*subscriber_).keeps_alive();
    worker().bury(std::move(subscriber_));
    standing_ = nullptr;
    set_use(Use::Http);
    if (!exchange_ && !close && plain_socket() >= 0 && worker().answers().is_open())
        return answer_with_others(std::move(head), *body);
    enter(State::Answering);
    open_exchange(); // one that waited has none
    exchange_->out += head;
    if (!exchange_->is_head)
        exchange_->out += body->bytes;
    if (close)
        return close_after_out();
    next_request();
}

// As next_request() leaves it, but for the bytes, which are on their way.
void Connection::answer_with_others(std::string head, const Segment& body) {
    enter(State::Idle);
    arm(worker().config().limits.idle_timeout);
    head += body.bytes;
    worker().answers().add(*this, std::move(head));
}

void Connection::on_answer_sent(std::string_view answer, ssize_t sent) {
    if (on_sent(sent) < 0)
        return;
    if (static_cast<size_t>(sent) < answer.size()) {
        open_exchange();
        exchange_->out = answer.substr(static_cast<size_t>(sent));
        await_room();
    } else if (has_unread_) {
        read_in_next_turn();
    }
}

bool Connection::may_publish() const {
    return standing_ && !standing_->publishes_to.empty();
}

bool Connection::publish(std::string payload, bool is_binary) {
    const ChannelSettings* settings = worker().directory().settings_for(standing_->publishes_to);
    if (settings &&
        worker().limit_publish(*settings, Tally::Connection, *this, standing_->identities.user()))
        return false;
    counters().client_published.add(1);
    Attempt attempt;
    attempt.channel = standing_->publishes_to;
    attempt.draft.payload = std::move(payload);
    attempt.draft.binary = is_binary;
    // A plain WebSocket has nowhere to tell what became of it; refusals are counted.
    worker().publisher().publish_one(std::move(attempt), [](const Attempt&) {});
    return true;
}

} // namespace fanhorn
