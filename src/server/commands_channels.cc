// SPDX-License-Identifier: Apache-2.0
// fanhorn.v1: which channels, in whose name.
#include "base/text.h"
#include "server/auth.h"
#include "server/commands.h"
#include "server/subscribe_options.h"
#include "server/worker.h"

#include <algorithm>

namespace fanhorn {

namespace {

// `read`: what is told of the user's markers.
std::string start_json(const std::vector<std::string>& names, bool is_list, Position position,
                       std::string_view read) {
    std::string json = is_list ? "{\"channels\":[" : "{\"channel\":";
    for (size_t i = 0; i < names.size(); ++i) {
        json += i ? "," : "";
        append_json_string(json, names[i]);
    }
    json.append(is_list ? "]" : "").append(",\"position\":\"");
    append_position(json, position);
    return json.append("\"").append(read).append("}");
}

} // namespace

std::optional<http::Problem> Commands::read_channels(const CommandMembers& members,
                                                     std::vector<std::string>& names) const {
    if (const std::string_view list = members.value("channels"); !list.empty())
        return read_names(list, worker_.config().limits.subscriptions, names,
                          check_name_or_wildcard);
    auto name = members.text("channel");
    if (!name)
        return http::problem("bad_channel", "name a 'channel', or 'channels'");
    if (auto problem = check_name_or_wildcard(*name))
        return problem;
    names.push_back(std::move(*name));
    return std::nullopt;
}

std::optional<http::Problem> Commands::check_channel(const std::string& name,
                                                     const ChannelSettings*& settings) const {
    settings = worker_.directory().settings_for(name);
    if (!settings)
        return http::problem("channel_unknown", "no [channel] section matches '" + name + "'");
    if (is_wildcard(name) && !settings->wildcard)
        return http::problem("forbidden", "'wildcard' is off in [channel " + settings->pattern +
                                              "], whose channels '" + name + "' matches");
    return rights_->may_subscribe(name, *settings);
}

// One channel that may be subscribed to.
std::optional<http::Problem> Commands::read_channel(const CommandMembers& members,
                                                    std::string& name,
                                                    const ChannelSettings*& settings) const {
    auto text = members.text("channel");
    if (!text)
        return http::problem("bad_channel", "name a 'channel'");
    if (auto problem = check_name(*text))
        return problem;
    name = std::move(*text);
    return check_channel(name, settings);
}

std::optional<http::Problem> Commands::read_step(const CommandMembers& members,
                                                 Session::Step& step) {
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
        if (const auto transport = use_name(session_->use()); !settings->allows(transport))
            return http::problem("not_acceptable",
                                 "'" + name + "' does not have " + std::string(transport));
        if (session_->has(name))
            return http::problem("bad_request", "'" + name + "' is already subscribed to");
        step.settings.push_back(settings);
    }
    if (auto problem = find_filter(members, step.channels, step.settings, step.filter))
        return problem;
    if (auto problem = read_delta(members.value("delta"), step))
        return problem;
    if (session_->is_patched_twice(step))
        return http::problem("bad_option", "a channel with 'delta' cannot be one of a wildcard's");
    if (!worker_.shared().memory.has_room_for_subscriptions()) {
        worker_.counters().shed(Shed::Subscription);
        return memory_problem();
    }
    const auto& limits = worker_.config().limits;
    if (session_->waiting_parts() > limits.subscriptions + limits.wildcard_channels)
        return http::problem("rate_limited", "let what you have subscribed to catch up first");
    const size_t most = limits.subscriptions;
    if (session_->channel_count() + step.channels.size() > most) {
        worker_.counters().hit(Limit::Subscriptions);
        return http::problem("bad_channel", "more channels than 'subscriptions' in [limits]");
    }
    if (!from_->has_room_for(step.channels.size())) {
        worker_.counters().hit(Limit::ChannelsPerUser, rights_->identities().user());
        return too_many_channels_of_user();
    }
    if (!session_->has_room_for(step, limits.filters)) {
        worker_.counters().hit(Limit::Filters);
        return too_many_filters();
    }
    return choose_broker(step);
}

// A subscribe's own, for the [auth] sections of its channels. It takes the place of the
// connection's.
std::optional<http::Problem> Commands::take_token(const CommandMembers& members,
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
    on_token();
    return std::nullopt;
}

// It may have named the user, and may not cover what the one before it did. The user's own channel
// is his in any case.
void Commands::on_token() {
    if (!session_)
        return;
    const Identities& held = rights_->identities();
    if (session_->user().empty())
        session_->set_user(std::string(held.user()), std::string(held.info()));
    for (const std::string& name : session_->channels()) {
        if (is_reserved(name))
            continue;
        const ChannelSettings* settings = worker_.directory().settings_for(name);
        const auto problem = settings ? rights_->may_subscribe(name, *settings) : std::nullopt;
        if (problem)
            session_->end(name, problem->code);
    }
}

std::optional<http::Problem> Commands::read_delta(std::string_view value, Session::Step& step) {
    if (value.empty())
        return std::nullopt;
    if (string_of(value) != "json-patch")
        return http::problem("bad_option", "'delta' is \"json-patch\"");
    if (step.filter)
        return http::problem("bad_option", "'delta' and 'filter' do not go together");
    if (std::any_of(step.channels.begin(), step.channels.end(), is_wildcard))
        return http::problem("bad_option", "'delta' and wildcards do not go together");
    for (size_t i = 0; i < step.channels.size(); ++i)
        if (step.settings[i]->delta == Delta::Off)
            return http::problem("bad_option",
                                 "'delta' is off for the channel '" + step.channels[i] + "'");
    step.is_patched = true;
    return std::nullopt;
}

std::optional<http::Problem>
Commands::find_filter(const CommandMembers& members, const std::vector<std::string>& channels,
                      const std::vector<const ChannelSettings*>& settings, FilterRef& filter) {
    const std::string_view value = members.value("filter");
    if (value.empty())
        return std::nullopt;
    const auto text = string_of(value);
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

void Commands::subscribe(const std::string& id, const CommandMembers& members) {
    if (!session_)
        return error(
            id, http::problem("bad_request",
                              "the channels of this connection are those of its URL: open another, "
                              "or a stream or WebSocket of fanhorn.v1"));
    Session::Step step;
    if (auto problem = read_step(members, step))
        return error(id, *problem);
    const bool is_list = !members.value("channels").empty();
    step.reply = [id, is_list, names = step.channels, read = find_markers(step, is_list),
                  also = also_](const Start& start) {
        std::string json = start.status == Start::Status::Placed
                               ? ok_json(id, start_json(names, is_list, start.told, *read))
                               : error_json(id, start_problem(start.status));
        if (also)
            also(json);
        return json;
    };
    session_->subscribe(std::move(step));
}

void Commands::unsubscribe(const std::string& id, const CommandMembers& members) {
    std::vector<std::string> names;
    if (!session_)
        return error(id, http::problem("bad_request",
                                       "the channels of this connection are those of its URL"));
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

} // namespace fanhorn
