// SPDX-License-Identifier: Apache-2.0
#include "server/commands.h"

#include "base/text.h"
#include "relay/pattern.h"
#include "relay/poll_subscriber.h"
#include "server/auth.h"
#include "server/subscribe_options.h"
#include "server/worker.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr size_t kMaxDepth = 64;       // of nesting, in a command
constexpr size_t kAnyDepth = SIZE_MAX; // in a piece of what has been read
constexpr size_t kMaxIdBytes = 32;
// Replies that the client has not read: beyond it a command is refused.
constexpr size_t kMaxWaitingBytes = 1 << 20;

http::Problem bad(std::string detail) {
    return http::problem("bad_request", std::move(detail));
}

std::optional<std::string> text_of(std::string_view value) {
    if (value.empty() || json_kind(value) != JsonKind::String)
        return std::nullopt;
    return json_text(value);
}

std::optional<http::Problem> check_name(const std::string& name) {
    if (!is_channel_name(name))
        return http::problem("bad_channel", "a channel name is 1 to 255 bytes of UTF-8 without "
                                            "control characters, ',' and '*'");
    if (name.front() == '$')
        return http::problem("bad_channel", "channel names that begin with '$' are reserved");
    return std::nullopt;
}

// A list of channels' names, each once.
std::optional<http::Problem> read_names(std::string_view array, size_t most,
                                        std::vector<std::string>& names) {
    std::vector<JsonPart> parts;
    if (read_json(array, kAnyDepth, &parts) != JsonKind::Array || parts.empty())
        return http::problem("bad_channel", "'channels' is a list of names");
    if (parts.size() > most)
        return http::problem("bad_channel", "more channels than 'subscriptions' in [limits]");
    for (const JsonPart& part : parts) {
        auto name = text_of(part.value);
        if (!name)
            return http::problem("bad_channel", "'channels' is a list of names");
        if (auto problem = check_name(*name))
            return problem;
        names.push_back(std::move(*name));
    }
    std::vector<std::string> sorted = names;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
        return http::problem("bad_channel", "a channel is named twice");
    return std::nullopt;
}

// A string, or a number like 0 or -50; "": as it is.
std::optional<http::Problem> read_since(std::string_view value, Since& since) {
    if (value.empty())
        return std::nullopt;
    const auto text = text_of(value);
    const auto parsed = parse_since(text ? *text : value);
    if (!parsed)
        return http::problem("bad_position",
                             "'since' is an id like k3f9q2.1042, latest, earliest, 0, or -N");
    since = *parsed;
    return std::nullopt;
}

std::string start_json(const std::vector<std::string>& names, bool is_list, Position position) {
    std::string json = is_list ? "{\"channels\":[" : "{\"channel\":";
    for (size_t i = 0; i < names.size(); ++i) {
        json += i ? "," : "";
        append_json_string(json, names[i]);
    }
    json.append(is_list ? "]" : "").append(",\"position\":\"");
    append_position(json, position);
    return json + "\"}";
}

std::string error_json(const std::string& id, const http::Problem& problem) {
    std::string json = "{\"reply\":" + id + ",\"error\":{\"code\":\"";
    json.append(problem.code).append("\",\"detail\":");
    append_json_string(json, problem.detail);
    return json + "}}";
}

std::string ok_json(const std::string& id, std::string_view body) {
    return std::string("{\"reply\":").append(id).append(",\"ok\":").append(body).append("}");
}

http::Problem problem_of(Start::Status status) {
    switch (status) {
    case Start::Status::NoSection:
        return http::problem("channel_unknown", "no [channel] section matches");
    case Start::Status::ChannelsFull:
        return http::problem("overloaded", "there are as many channels as 'channels' in [limits]");
    default:
        return http::problem("broker_down", "the channel's broker is away");
    }
}

} // namespace

// Of members with one name the last counts.
class Commands::Members {
  public:
    explicit Members(std::string_view object) {
        is_object_ = read_json(object, kAnyDepth, &parts_) == JsonKind::Object;
        for (const JsonPart& part : parts_)
            names_.push_back(is_object_ ? json_text(part.name) : "");
    }
    bool is_object() const { return is_object_; }
    // "" where there is none.
    std::string_view value(std::string_view name) const {
        for (size_t i = names_.size(); i-- > 0;)
            if (names_[i] == name)
                return parts_[i].value;
        return {};
    }
    std::optional<std::string> text(std::string_view name) const { return text_of(value(name)); }
    // A member that is none of these.
    std::optional<http::Problem> check_known(std::initializer_list<std::string_view> known) const {
        for (const std::string& name : names_)
            if (std::find(known.begin(), known.end(), name) == known.end())
                return http::problem("bad_option", "'" + escape_for_log(name) +
                                                       "' is not a member of this command");
        return std::nullopt;
    }
    // Without those of that name.
    std::vector<JsonPart> others(std::string_view name) const {
        std::vector<JsonPart> others;
        for (size_t i = 0; i < parts_.size(); ++i)
            if (names_[i] != name)
                others.push_back(parts_[i]);
        return others;
    }

  private:
    std::vector<JsonPart> parts_;
    std::vector<std::string> names_;
    bool is_object_;
};

// Kept messages, read for a reply.
struct Commands::Lookup final : Sink {
    ssize_t write(const iovec*, int) override { return -1; }
    void finish() override {}
    void refuse(Start::Status status) override {
        is_done = true;
        owner->error(id, problem_of(status));
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
    {"ping", &Commands::ping},
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
    if (say_)
        say_(ok_json(id, body));
}

void Commands::error(const std::string& id, const http::Problem& problem) const {
    worker_.counters().command_errors.add(1);
    if (say_)
        say_(error_json(id, problem));
}

void Commands::run(std::string_view text, Rights& rights, int socket) {
    rights_ = &rights;
    socket_ = socket;
    run_command(text);
    rights_ = nullptr;
}

void Commands::run_command(std::string_view text) {
    worker_.counters().commands.add(1);
    std::erase_if(lookups_, [](const auto& each) { return each->is_done; });
    if (read_json(text, kMaxDepth) != JsonKind::Object)
        return error("null", bad("a command is one JSON object, not nested too deeply"));
    const Members members(text);
    const std::string_view number = members.value("id");
    if (number.empty() || number.size() > kMaxIdBytes || json_kind(number) != JsonKind::Number)
        return error("null", bad("a command has an 'id', a number of your choosing"));
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
        return error(id, bad("a command has one of subscribe, unsubscribe, publish, history, "
                             "presence, refresh, ping beside its 'id'"));
    if (auto problem = members.check_known({"id", chosen->name}))
        return error(id, *problem);
    const Members arguments(members.value(chosen->name));
    if (!arguments.is_object())
        return error(id, bad("'" + std::string(chosen->name) + "' is an object"));
    (this->*chosen->run)(id, arguments);
}

// ---- channels

std::optional<http::Problem> Commands::read_channels(const Members& members,
                                                     std::vector<std::string>& names) const {
    if (const std::string_view list = members.value("channels"); !list.empty())
        return read_names(list, worker_.config().limits.subscriptions, names);
    auto name = members.text("channel");
    if (!name)
        return http::problem("bad_channel", "name a 'channel', or 'channels'");
    if (auto problem = check_name(*name))
        return problem;
    names.push_back(std::move(*name));
    return std::nullopt;
}

std::optional<http::Problem> Commands::check_channel(const std::string& name,
                                                     const ChannelSettings*& settings) const {
    settings = worker_.directory().settings_for(name);
    if (!settings)
        return http::problem("channel_unknown", "no [channel] section matches '" + name + "'");
    return rights_->may_subscribe(name, *settings);
}

// One channel that may be subscribed to.
std::optional<http::Problem> Commands::read_channel(const Members& members, std::string& name,
                                                    const ChannelSettings*& settings) const {
    auto text = members.text("channel");
    if (!text)
        return http::problem("bad_channel", "name a 'channel'");
    if (auto problem = check_name(*text))
        return problem;
    name = std::move(*text);
    return check_channel(name, settings);
}

std::optional<http::Problem> Commands::read_step(const Members& members, Session::Step& step) {
    if (auto problem =
            members.check_known({"channel", "channels", "since", "filter", "delta", "token"}))
        return problem;
    if (auto problem = read_channels(members, step.channels))
        return problem;
    if (auto problem = read_since(members.value("since"), step.since))
        return problem;
    if (auto problem = take_token(members, step.channels))
        return problem;
    for (const std::string& name : step.channels) {
        const ChannelSettings* settings = nullptr;
        if (auto problem = check_channel(name, settings))
            return problem;
        if (!settings->allows("websocket"))
            return http::problem("not_acceptable", "'" + name + "' has no WebSocket");
        if (session_->has(name))
            return bad("'" + name + "' is already subscribed to");
        step.settings.push_back(settings);
    }
    if (auto problem = find_filter(members, step.channels, step.settings, step.filter))
        return problem;
    if (auto problem = read_delta(members.value("delta"), step))
        return problem;
    const size_t most = worker_.config().limits.subscriptions;
    if (session_->channel_count() + step.channels.size() > most) {
        worker_.counters().hit(Limit::Subscriptions);
        return http::problem("bad_channel", "more channels than 'subscriptions' in [limits]");
    }
    if (!session_->has_room_for(step, worker_.config().limits.filters)) {
        worker_.counters().hit(Limit::Filters);
        return too_many_filters();
    }
    return choose_broker(step);
}

// A subscribe's own, for the [auth] sections of its channels. It takes the place of the
// connection's.
std::optional<http::Problem> Commands::take_token(const Members& members,
                                                  const std::vector<std::string>& channels) {
    if (members.value("token").empty())
        return std::nullopt;
    const auto token = members.text("token");
    if (!token)
        return http::problem("bad_option", "'token' is a string");
    std::vector<const Authority*> asked;
    for (const std::string& name : channels) {
        const ChannelSettings* settings = worker_.directory().settings_for(name);
        const Authority* authority = settings ? settings->subscribe.authority.get() : nullptr;
        if (!authority || std::find(asked.begin(), asked.end(), authority) != asked.end())
            continue;
        asked.push_back(authority);
        if (auto problem = rights_->accept(*authority, *token))
            return problem;
    }
    know_user();
    return std::nullopt;
}

// A token may have named one.
void Commands::know_user() {
    const Identities& held = rights_->identities();
    if (session_ && session_->user().empty())
        session_->set_user(std::string(held.user()), std::string(held.info()));
}

std::optional<http::Problem> Commands::read_delta(std::string_view value, Session::Step& step) {
    if (value.empty())
        return std::nullopt;
    if (text_of(value) != "json-patch")
        return http::problem("bad_option", "'delta' is \"json-patch\"");
    if (step.filter)
        return http::problem("bad_option", "'delta' and 'filter' do not go together");
    for (size_t i = 0; i < step.channels.size(); ++i)
        if (step.settings[i]->delta == Delta::Off)
            return http::problem("bad_option",
                                 "'delta' is off for the channel '" + step.channels[i] + "'");
    step.is_patched = true;
    return std::nullopt;
}

std::optional<http::Problem>
Commands::find_filter(const Members& members, const std::vector<std::string>& channels,
                      const std::vector<const ChannelSettings*>& settings, FilterRef& filter) {
    const std::string_view value = members.value("filter");
    if (value.empty())
        return std::nullopt;
    const auto text = text_of(value);
    return text ? read_filter(*text, channels, settings, filter)
                : http::problem("bad_option", "'filter' is a string");
}

// A position belongs to one broker.
std::optional<http::Problem> Commands::choose_broker(const Session::Step& step) {
    BrokerEnd& end = worker_.directory().end_for(*step.settings[0]);
    const bool is_one =
        std::all_of(step.settings.begin(), step.settings.end(), [&](const ChannelSettings* each) {
            return &worker_.directory().end_for(*each) == &end;
        });
    if (!is_one || (session_->channel_count() > 0 && &session_->end() != &end))
        return http::problem("bad_channel", "the channels of one connection share their broker");
    if (session_->channel_count() == 0)
        session_->set_end(end);
    return std::nullopt;
}

void Commands::subscribe(const std::string& id, const Members& members) {
    if (!session_)
        return error(id, bad("the channels of this connection are those of its URL: open another, "
                             "or a WebSocket of fanhorn.v1"));
    Session::Step step;
    if (auto problem = read_step(members, step))
        return error(id, *problem);
    const bool is_list = !members.value("channels").empty();
    step.reply = [id, is_list, names = step.channels](const Start& start) {
        return start.status == Start::Status::Placed
                   ? ok_json(id, start_json(names, is_list, start.told))
                   : error_json(id, problem_of(start.status));
    };
    session_->subscribe(std::move(step));
}

void Commands::unsubscribe(const std::string& id, const Members& members) {
    std::vector<std::string> names;
    if (!session_)
        return error(id, bad("the channels of this connection are those of its URL"));
    if (auto problem = members.check_known({"channel", "channels"}))
        return error(id, *problem);
    if (auto problem = read_channels(members, names))
        return error(id, *problem);
    for (const std::string& name : names)
        if (!session_->has(name))
            return error(id, http::problem("not_found", "'" + name + "' is not subscribed to"));
    for (const std::string& name : names)
        session_->unsubscribe(name);
    ok(id, "{}");
}

// ---- messages

std::optional<http::Problem> Commands::read_publish(const Members& members,
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
    return worker_.limit_publish(*settings, session_ ? Tally::Connection : Tally::Address, socket_,
                                 rights_->identities().user());
}

void Commands::publish(const std::string& id, const Members& members) {
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

std::optional<http::Problem> Commands::read_lookup(const Members& members, Wish& wish,
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
void Commands::history(const std::string& id, const Members& members) {
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

void Commands::presence(const std::string& id, const Members& members) {
    std::string name;
    const ChannelSettings* settings = nullptr;
    if (auto problem = members.check_known({"channel"}))
        return error(id, *problem);
    if (auto problem = read_channel(members, name, settings))
        return error(id, *problem);
    if (!settings->presence)
        return error(id, http::problem("forbidden", "'presence' is off for '" + name + "'"));
    worker_.directory().end_for(*settings).broker->attendance(
        name, [self = shared_from_this(), id](const std::vector<Attendee>& users) {
            self->ok(id, attendance_json(users));
        });
}

// Of the sections that the connection has a token of, or, where it has none, of any.
void Commands::refresh(const std::string& id, const Members& members) {
    if (!session_)
        return error(id, bad("a token is the connection's: refresh it there"));
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
            know_user();
            return ok(id, "{}");
        }
    }
    error(id, *problem);
}

void Commands::ping(const std::string& id, const Members&) {
    ok(id, "{}");
}

// ---- by POST

std::optional<http::Problem> read_long_list(std::string_view json, size_t max_channels,
                                            std::optional<LongList>& list) {
    std::vector<JsonPart> parts;
    if (read_json(json, kMaxDepth, &parts) != JsonKind::Object)
        return bad("the body is {\"channels\":[…],\"since\":…}, or one command of fanhorn.v1");
    std::string_view channels, since;
    for (const JsonPart& part : parts) {
        const std::string name = json_text(part.name);
        if (name == "channels")
            channels = part.value;
        else if (name == "since")
            since = part.value;
    }
    if (channels.empty())
        return std::nullopt;
    list.emplace();
    if (!since.empty())
        list->since = text_of(since).value_or(std::string(since));
    return read_names(channels, max_channels, list->channels);
}

} // namespace fanhorn
