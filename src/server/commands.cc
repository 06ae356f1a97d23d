// SPDX-License-Identifier: Apache-2.0
#include "server/commands.h"

#include "base/text.h"
#include "relay/poll_subscriber.h"
#include "server/auth.h"
#include "server/worker.h"

#include <algorithm>

namespace fanhorn {

namespace {

// Replies that the client has not read: beyond it a command is refused.
constexpr size_t kMaxWaitingBytes = 1 << 20;

} // namespace

// Kept messages, read for a reply.
struct Commands::Lookup final : Sink {
    ssize_t write(const iovec*, int) override { return -1; }
    void finish() override {}
    void refuse(Start::Status status) override {
        is_done = true;
        owner->error(id, start_problem(status));
    }
    void answer(std::string, SegmentRef body) override {
        is_done = true;
        owner->ok(id, body->bytes);
    }

    Commands* owner = nullptr;
    std::string id;
    std::unique_ptr<PollSubscriber> poll;
    bool is_done = false;
};

const Commands::Verb Commands::kVerbs[] = {
    {"subscribe", &Commands::subscribe}, {"unsubscribe", &Commands::unsubscribe},
    {"publish", &Commands::publish},     {"history", &Commands::history},
    {"presence", &Commands::presence},   {"refresh", &Commands::refresh},
    {"read", &Commands::read},           {"ping", &Commands::ping},
};

Commands::Commands(Worker& worker, Session* session, const ConnectionId& connection, Say say)
    : worker_(worker), session_(session), connection_(connection), say_(std::move(say)) {}

Commands::~Commands() = default;

void Commands::detach() {
    say_ = nullptr;
    session_ = nullptr;
    lookups_.clear();
}

void Commands::ok(const std::string& id, std::string_view body) const {
    tell(ok_json(id, body), also_);
}

void Commands::error(const std::string& id, const http::Problem& problem) const {
    worker_.counters().command_errors.add(1);
    tell(error_json(id, problem), also_);
}

void Commands::tell(std::string_view json, const Say& also) const {
    if (say_)
        say_(json);
    if (also)
        also(json);
}

void Commands::run(std::string_view text, Rights& rights, const Connection& from, const Say& also) {
    rights_ = &rights;
    from_ = &from;
    also_ = also;
    run_command(text);
    also_ = nullptr;
    from_ = nullptr;
    rights_ = nullptr;
}

void Commands::run_command(std::string_view text) {
    worker_.counters().commands.add(1);
    std::erase_if(lookups_, [](const auto& each) { return each->is_done; });
    if (read_json(text, kMaxCommandDepth) != JsonKind::Object)
        return error("null", http::problem("bad_request",
                                           "a command is one JSON object, not nested too deeply"));
    const CommandMembers members(text);
    const std::string_view number = members.value("id");
    if (number.empty() || number.size() > kMaxIdBytes || json_kind(number) != JsonKind::Number)
        return error("null", http::problem("bad_request",
                                           "a command has an 'id', a number of your choosing"));
    const std::string id(number);
    if (session_ && session_->waiting_bytes() > kMaxWaitingBytes)
        return error(id, http::problem("rate_limited", "read your earlier replies first"));
    const Verb* chosen = nullptr;
    int verbs = 0;
    for (const Verb& verb : kVerbs)
        if (!members.value(verb.name).empty()) {
            chosen = &verb;
            ++verbs;
        }
    if (verbs != 1)
        return error(id,
                     http::problem("bad_request",
                                   "a command has one of subscribe, unsubscribe, publish, history, "
                                   "presence, refresh, read, ping beside its 'id'"));
    if (auto problem = members.check_known({"id", chosen->name}))
        return error(id, *problem);
    const CommandMembers arguments(members.value(chosen->name));
    if (!arguments.is_object())
        return error(
            id, http::problem("bad_request", "'" + std::string(chosen->name) + "' is an object"));
    (this->*chosen->run)(id, arguments);
}

// ---- messages

std::optional<http::Problem> Commands::read_publish(const CommandMembers& members,
                                                    Attempt& attempt) const {
    if (!members.value("retain").empty())
        return http::problem("bad_option", "a client cannot retain a message");
    attempt = read_message(members.others("echo"));
    if (attempt.problem)
        return attempt.problem;
    if (const std::string_view echo = members.value("echo"); !echo.empty()) {
        if (json_kind(echo) != JsonKind::Boolean)
            return http::problem("bad_option", "'echo' is true or false");
        if (echo == "false")
            attempt.draft.exclude = connection_;
    }
    const ChannelSettings* settings = worker_.directory().settings_for(attempt.channel);
    if (!settings)
        return std::nullopt;
    if (auto problem = rights_->may_publish(attempt.channel, *settings))
        return problem;
    return worker_.limit_publish(*settings, session_ ? Tally::Connection : Tally::Address, *from_,
                                 rights_->identities().user());
}

void Commands::publish(const std::string& id, const CommandMembers& members) {
    Attempt attempt;
    if (auto problem = read_publish(members, attempt))
        return error(id, *problem);
    worker_.counters().client_published.add(1);
    worker_.publisher().publish_one(std::move(attempt),
                                    [self = shared_from_this(), id](const Attempt& done) {
                                        if (done.problem)
                                            return self->error(id, *done.problem);
                                        std::string body = "{\"id\":\"";
                                        append_position(body, done.published.position);
                                        body += "\",\"n\":";
                                        append_number(body, done.published.n);
                                        self->ok(id, body + "}");
                                    });
}

std::optional<http::Problem> Commands::read_lookup(const CommandMembers& members, Wish& wish,
                                                   size_t& limit) {
    if (auto problem = members.check_known({"channel", "since", "limit", "filter"}))
        return problem;
    std::string name;
    const ChannelSettings* settings = nullptr;
    if (auto problem = read_channel(members, name, settings))
        return problem;
    wish.channels = {std::move(name)};
    wish.settings = {settings};
    wish.end = &worker_.directory().end_for(*settings);
    wish.since.kind = Since::Kind::Earliest;
    if (auto problem = read_since(members.value("since"), wish.since))
        return problem;
    if (auto problem = find_filter(members, wish.channels, wish.settings, wish.filter))
        return problem;
    if (const std::string_view most = members.value("limit"); !most.empty()) {
        const auto number = parse_u64(std::string(most));
        if (!number || *number == 0)
            return http::problem("bad_option", "'limit' is a number above 0");
        limit = std::min<uint64_t>(*number, PollSubscriber::kMaxMessages);
    }
    return std::nullopt;
}

// Answered as a short poll is.
void Commands::history(const std::string& id, const CommandMembers& members) {
    static const http::Request kNothing;
    static const std::string kNoHeaders;
    Wish wish;
    size_t limit = PollSubscriber::kMaxMessages;
    if (auto problem = read_lookup(members, wish, limit))
        return error(id, *problem);
    wish.connection = connection_;
    auto opened = worker_.transport("poll")->open({.request = kNothing,
                                                   .channels = wish.channels,
                                                   .settings = wish.settings,
                                                   .since = wish.since,
                                                   .connection = wish.connection,
                                                   .headers = kNoHeaders,
                                                   .message_size = 0,
                                                   .fragments = 0});
    Opening& opening = std::get<Opening>(opened);
    opening.poll.max_messages = limit;
    wish.encoding = opening.encoding;
    auto lookup = std::make_unique<Lookup>();
    lookup->owner = this;
    lookup->id = id;
    lookup->poll = std::make_unique<PollSubscriber>(*lookup, wish, std::move(opening.poll));
    PollSubscriber& poll = *lookup->poll;
    lookups_.push_back(std::move(lookup));
    poll.begin(std::move(wish));
}

void Commands::presence(const std::string& id, const CommandMembers& members) {
    std::string name;
    const ChannelSettings* settings = nullptr;
    if (auto problem = members.check_known({"channel"}))
        return error(id, *problem);
    if (auto problem = read_channel(members, name, settings))
        return error(id, *problem);
    if (!settings->presence)
        return error(id, http::problem("forbidden", "'presence' is off for '" + name + "'"));
    Broker& broker = *worker_.directory().end_for(*settings).broker;
    broker.attendance(
        name, [self = shared_from_this(), &broker, id](const std::vector<Attendee>& users) {
            if (broker.is_up())
                self->ok(id, attendance_json(users));
            else
                self->error(id, http::problem("broker_down", "the channel's broker is away"));
        });
}

// Of the sections that the connection has a token of, or, where it has none, of any.
void Commands::refresh(const std::string& id, const CommandMembers& members) {
    if (!session_)
        return error(id,
                     http::problem("bad_request", "a token is the connection's: refresh it there"));
    if (auto problem = members.check_known({"token"}))
        return error(id, *problem);
    const auto token = members.text("token");
    if (!token)
        return error(id, http::problem("bad_option", "'token' is a string"));
    const Identities& held = rights_->identities();
    const bool has_any = !held.empty();
    auto problem = std::optional(http::problem("unauthorized", "no [auth] section takes a token"));
    for (const auto& authority : worker_.config().authorities) {
        if (has_any && !held.of(authority->name()))
            continue;
        problem = rights_->accept(*authority, *token);
        if (!problem) {
            ok(id, "{}");
            return on_token();
        }
    }
    error(id, *problem);
}

void Commands::ping(const std::string& id, const CommandMembers&) {
    ok(id, "{}");
}

} // namespace fanhorn
