// SPDX-License-Identifier: Apache-2.0
// Tokens: at the door, and while a subscription lasts.
#include "server/auth.h"
#include "server/connection.h"
#include "server/users.h"
#include "server/worker.h"

namespace fanhorn {

// A private route of a listener with `auth`: who enters, and whether the channels of the path are
// theirs. What a batch holds is looked at when it has come.
std::optional<http::Problem> Connection::check_backend() {
    return Caller(exchange_->request, listener_->settings, exchange_->identities, counters())
        .may_enter();
}

// Null where the listener asks for none.
const Identity* Connection::backend() const {
    return exchange_->identities.of(listener_->settings.auth);
}

std::optional<http::Problem> Connection::check_backend_channels() {
    const Identity* identity = backend();
    if (!identity)
        return std::nullopt;
    std::optional<http::Problem> problem;
    if (exchange_->route.kind == Route::Kind::Channels && !identity->may_write_all())
        problem =
            http::problem("forbidden", "this needs a token that may publish to every channel");
    // Whoever may publish to every channel may speak to every user.
    const bool is_any_user =
        exchange_->route.kind == Route::Kind::User && identity->may_write_all();
    for (const std::string& name : exchange_->channels)
        if (!problem && !is_any_user)
            problem = backend_refusal(*identity, name);
    if (problem)
        counters().refuse(AuthRefusal::Forbidden);
    return problem;
}

// ---- what the application is asked

// Of the sections that the request's channels name; of all where a session may name any.
std::optional<Question> Connection::request_question() const {
    const Route::Kind kind = exchange_->route.kind;
    const Config& config = worker().config();
    if (config.endpoints.empty() || exchange_->request.method == http::Method::Options ||
        (kind != Route::Kind::Sub && kind != Route::Kind::SubBody))
        return std::nullopt;
    const bool is_any = kind == Route::Kind::SubBody || asks_session();
    std::vector<std::shared_ptr<const Authority>> named;
    for (const std::string& name : exchange_->channels)
        if (const ChannelSettings* settings = worker().directory().settings_for(name))
            for (const Access* access : {&settings->subscribe, &settings->client_publish})
                if (access->authority)
                    named.push_back(access->authority);
    const Caller caller(exchange_->request, listener_->settings, exchange_->identities, counters());
    auto question = caller.question(is_any ? config.authorities : named);
    return question || kind == Route::Kind::Sub ? question : token_question(exchange_->body);
}

std::optional<Question> Connection::token_question(std::string_view command) const {
    const Config& config = worker().config();
    if (config.endpoints.empty())
        return std::nullopt;
    const auto token = command_token(command);
    for (const auto& authority : config.authorities)
        if (token && authority->inquiry() && !authority->knows(*token, wall_millis()))
            return Question{authority, {*token}};
    return std::nullopt;
}

void Connection::ask_or_dispatch() {
    const auto question = request_question();
    if (!question)
        return dispatch();
    worker().inquiries().ask(*question, [owner = owner()] {
        if (*owner)
            (*owner)->dispatch_asked();
    });
}

// As feed() would have gone on.
void Connection::dispatch_asked() {
    if (state_ != State::Answering)
        return;
    std::string rest = std::move(exchange_->stash);
    is_feeding_ = true;
    ask_or_dispatch();
    feed_on({rest.data(), rest.size()});
    if (state_ == State::Streaming && has_unread_)
        read_in_next_turn();
}

// ---- while a subscription lasts

Standing& Connection::standing() {
    if (!standing_)
        standing_ = std::make_unique<Standing>(*this);
    return *standing_;
}

// Whom the request's tokens gave stays for as long as the subscription.
void Connection::begin_standing(size_t channels) {
    if (exchange_->identities.empty())
        return;
    standing().identities = exchange_->identities;
    standing().channels = static_cast<uint32_t>(channels);
    worker().users().add(*standing_, worker().now());
    expire_on_time();
}

void Connection::expire_on_time() {
    standing_->expires = standing_->identities.expires();
    worker().expiries().add(*standing_, wall_millis());
}

// One user's connection to channels that know who is there.
void Connection::attend(const Wish& wish) {
    if (!standing_ || standing_->user.empty())
        return;
    for (size_t i = 0; i < wish.channels.size(); ++i)
        if (wish.settings[i]->presence)
            standing_->attendances.push_back(std::make_unique<Attendance>(
                *wish.end, wish.channels[i],
                Attendee{standing_->user, std::string(standing_->identities.info())},
                wish.connection));
}

void Connection::send_away() {
    if (state_ == State::Polling || state_ == State::Streaming)
        say_farewell({Farewell::Why::Disconnected});
}

void Connection::on_expired() {
    switch (state_) {
    case State::Polling: // the next one brings a new token, or is refused
        counters().tokens_expired.add(1);
        return static_cast<PollSubscriber&>(*subscriber_).on_timeout();
    case State::Streaming:
        counters().tokens_expired.add(1);
        return say_farewell({Farewell::Why::Expired});
    default:
        return;
    }
}

} // namespace fanhorn
