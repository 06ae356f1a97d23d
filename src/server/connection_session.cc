// SPDX-License-Identifier: Apache-2.0
// fanhorn.v1: a stream whose channels come and go, and what is said beside it by POST.
#include "base/text.h"
#include "server/auth.h"
#include "server/commands.h"
#include "server/connection.h"
#include "server/subscribe_options.h"
#include "server/users.h"
#include "server/worker.h"

namespace fanhorn {

namespace {

// Replies that wait for the socket; beyond it no further commands are read.
constexpr size_t kMaxReplyBytes = 64 << 10;

} // namespace

Standing::~Standing() {
    if (asker)
        *asker = nullptr;
    if (posted)
        posted->remove(commands->connection());
    if (commands)
        commands->detach();
    if (users)
        users->remove(*this);
}

void Connection::open_session(Opening&& opening, const Wish& wish) {
    if (begin_stream(opening, wish))
        make_session(wish, std::move(opening.head), opening.patching).begin(wish);
}

// That has still to begin.
Session& Connection::make_session(const Wish& wish, std::string head, Encoding* patching) {
    auto subscriber = std::make_unique<Session>(*this, wish, std::move(head), patching);
    Session& session = *subscriber;
    subscriber_ = std::move(subscriber);
    session.set_user(std::string(standing().identities.user()),
                     std::string(standing().identities.info()));
    standing().commands =
        std::make_shared<Commands>(worker(), &session, wish.connection,
                                   [&session](std::string_view json) { session.say(json); });
    if (!inbound_) {
        standing().posted = &worker().shared().posted_sessions;
        standing().posted->add(wish.connection, worker(), *this);
    }
    return session;
}

// A token that came in a command named a user.
void Connection::begin_user() {
    auto& session = static_cast<Session&>(*subscriber_);
    if (check_user(session.channel_count()))
        return say_farewell({Farewell::Why::GoingAway, retry_ms()});
    standing_->channels = static_cast<uint32_t>(session.channel_count());
    worker().users().add(*standing_, worker().now());
    const std::string name = user_channel(standing_->user);
    const ChannelSettings* settings = user_settings(name, use_name(session.use()));
    if (!settings || session.has(name) || session.state() != Subscriber::State::Live ||
        &worker().directory().end_for(*settings) != &session.end())
        return;
    session.subscribe({.channels = {name}, .settings = {settings}, .since = {}});
}

bool Connection::has_room_for(size_t channels) const {
    if (!standing_)
        return true;
    const bool is_counted = standing_->users != nullptr;
    if (!is_counted && takes_commands())
        channels += static_cast<const Session&>(*subscriber_).channel_count();
    return worker().users().has_room_for(is_counted ? standing_->user
                                                    : standing_->identities.user(),
                                         channels, worker().config().limits.channels_per_user);
}

// They come and go by commands, or because the backend ends them.
void Connection::count_channels() {
    if (takes_commands() && standing_->users && subscriber_)
        worker().users().set_channels(*standing_,
                                      static_cast<const Session&>(*subscriber_).channel_count());
}

bool Connection::is_full() const {
    return takes_commands() && subscriber_ &&
           (!standing_->parked.empty() ||
            static_cast<const Session&>(*subscriber_).waiting_bytes() > kMaxReplyBytes);
}

bool Connection::takes_commands() const {
    return standing_ && standing_->commands;
}

void Connection::command(std::string_view text) {
    take_command(text, nullptr);
}

// In the order in which they come, whoever must be asked.
void Connection::take_command(std::string_view text, const Commands::Say& also) {
    if (standing_->parked.empty() && !token_question(text))
        return run_own(text, also);
    standing_->parked.push_back({std::string(text), also});
    if (standing_->parked.size() == 1)
        run_parked();
}

void Connection::run_parked() {
    while (state_ == State::Streaming && !standing_->parked.empty()) {
        if (const auto question = token_question(standing_->parked.front().text)) {
            if (!standing_->asker)
                standing_->asker = std::make_shared<Connection*>(this);
            return worker().inquiries().ask(*question, [asker = standing_->asker] {
                if (*asker)
                    (*asker)->run_parked();
            });
        }
        const Standing::Parked next = std::move(standing_->parked.front());
        standing_->parked.pop_front();
        run_own(next.text, next.also);
    }
    if (state_ == State::Streaming && has_unread_)
        read_in_next_turn();
}

void Connection::run_own(std::string_view text, const Commands::Say& also) {
    Rights rights(standing_->identities, counters());
    standing_->commands->run(text, rights, *this, also);
    if (standing_ && !standing_->users && !standing_->identities.user().empty())
        begin_user();
    count_channels();
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
    Caller caller(exchange_->request, listener_->settings, exchange_->identities, counters());
    if (Worker* owner = worker().shared().posted_sessions.find(connection).worker) {
        if (auto problem = caller.introduce(worker().config().authorities))
            return send_problem(*problem);
        return worker().run_command(*owner, {connection, command_id(json), std::string(json),
                                             std::string(exchange_->identities.user()), reply()});
    }
    const auto commands = std::make_shared<Commands>(
        worker(), nullptr, connection,
        [reply = reply()](std::string_view answer) { reply(json_answer(std::string(answer))); });
    commands->run(json, caller, *this);
}

// In the name of whom the stream is of.
void Connection::run_posted(const PostedCommand& command, const Commands::Say& answer) {
    const std::string_view user = standing().identities.user();
    if (!command.user.empty() && command.user != user)
        return answer(error_json(
            command.id,
            http::problem("forbidden", user.empty() ? "that stream is nobody's yet: give the token "
                                                      "in the command"
                                                    : "that stream is another user's")));
    take_command(command.json, answer);
}

// ---- of whichever worker

namespace {

// Answers when nobody has it any more, in the asker's own thread.
struct PostedJob {
    PostedJob(Worker& worker, PostedCommand posted)
        : asker(worker), command(std::move(posted)),
          answer(error_json(command.id, http::problem("not_found", "that stream has ended"))) {}
    ~PostedJob() {
        asker.post([reply = std::move(command.reply), json = std::move(answer)] {
            reply(json_answer(json));
        });
    }
    PostedJob(const PostedJob&) = delete;
    PostedJob& operator=(const PostedJob&) = delete;

    Worker& asker;
    PostedCommand command;
    std::string answer; // until there is another one
};

} // namespace

void Worker::run_command(Worker& owner, PostedCommand posted) {
    const auto job = std::make_shared<PostedJob>(*this, std::move(posted));
    owner.post([&sessions = shared_.posted_sessions, job] {
        if (Connection* session = sessions.find(job->command.connection).connection)
            session->run_posted(job->command, [job](std::string_view json) { job->answer = json; });
    });
}

} // namespace fanhorn
