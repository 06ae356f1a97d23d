// SPDX-License-Identifier: Apache-2.0
// fanhorn.v1: a stream whose channels come and go, and what is said beside it by POST.
#include "base/text.h"
#include "server/auth.h"
#include "server/commands.h"
#include "server/connection.h"
#include "server/users.h"
#include "server/worker.h"

namespace fanhorn {

namespace {

// Replies that wait for the socket; beyond it no further commands are read.
constexpr size_t kMaxReplyBytes = 64 << 10;

} // namespace

Standing::~Standing() {
    if (commands)
        commands->detach();
    if (users)
        users->remove(*this);
}

void Connection::open_session(Opening&& opening, const Wish& wish) {
    if (!begin_stream(opening, wish))
        return;
    auto subscriber =
        std::make_unique<Session>(*this, wish, std::move(opening.head), opening.patching);
    Session& session = *subscriber;
    subscriber_ = std::move(subscriber);
    session.set_user(std::string(standing().identities.user()),
                     std::string(standing().identities.info()));
    standing().commands =
        std::make_shared<Commands>(worker(), &session, wish.connection,
                                   [&session](std::string_view json) { session.say(json); });
    session.begin(wish);
}

// A token that came in a command named a user.
void Connection::begin_user() {
    worker().users().add(*standing_);
    auto& session = static_cast<Session&>(*subscriber_);
    const std::string name = user_channel(standing_->user);
    const ChannelSettings* settings = user_settings(name, "websocket");
    if (!settings || session.has(name) || session.state() != Subscriber::State::Live ||
        &worker().directory().end_for(*settings) != &session.end())
        return;
    session.subscribe({.channels = {name}, .settings = {settings}, .since = {}});
}

bool Connection::is_full() const {
    return takes_commands() && subscriber_ &&
           static_cast<const Session&>(*subscriber_).waiting_bytes() > kMaxReplyBytes;
}

bool Connection::takes_commands() const {
    return standing_ && standing_->commands;
}

void Connection::command(std::string_view text) {
    Rights rights(standing_->identities, counters());
    standing_->commands->run(text, rights, socket_.get());
    if (standing_ && !standing_->users && !standing_->identities.user().empty())
        begin_user();
    if (standing_ && standing_->identities.expires() != standing_->expires)
        expire_on_time();
}

void Connection::subscribe_by_body() {
    const std::string body = std::move(exchange_->body);
    exchange_->body = {};
    const std::string* type = exchange_->request.header("Content-Type");
    if (type && !is_media_type(type, "application/json"))
        return send_problem(http::problem("unsupported_type", "POST /sub takes application/json"));
    std::optional<LongList> list;
    if (auto problem = read_long_list(body, worker().config().limits.subscriptions, list))
        return send_problem(*problem);
    if (!list)
        return run_command(body);
    exchange_->channels = std::move(list->channels);
    subscribe(list->since.empty() ? nullptr : &list->since);
}

// One, in the name of the connection that the header tells.
void Connection::run_command(std::string_view json) {
    ConnectionId connection = kNoConnection;
    if (const std::string* text = exchange_->request.header("Fanhorn-Connection")) {
        const auto id = parse_connection(*text);
        if (!id)
            return send_problem(
                http::problem("bad_option", "'Fanhorn-Connection' is 32 hex digits"));
        connection = *id;
    }
    const auto commands = std::make_shared<Commands>(
        worker(), nullptr, connection,
        [reply = reply()](std::string_view answer) { reply(json_answer(std::string(answer))); });
    Caller caller(exchange_->request, listener_->settings, exchange_->identities, counters());
    commands->run(json, caller, socket_.get());
}

} // namespace fanhorn
