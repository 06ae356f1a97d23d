// SPDX-License-Identifier: Apache-2.0
#include "server/command_members.h"

#include "base/text.h"
#include "relay/pattern.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr size_t kAnyDepth = SIZE_MAX; // in a piece of what has been read

} // namespace

CommandMembers::CommandMembers(std::string_view object) {
    is_object_ = read_json(object, kAnyDepth, &parts_) == JsonKind::Object;
    for (const JsonPart& part : parts_)
        names_.push_back(is_object_ ? json_text(part.name) : "");
}

std::string_view CommandMembers::value(std::string_view name) const {
    for (size_t i = names_.size(); i-- > 0;)
        if (names_[i] == name)
            return parts_[i].value;
    return {};
}

std::optional<std::string> CommandMembers::text(std::string_view name) const {
    return string_of(value(name));
}

std::optional<http::Problem>
CommandMembers::check_known(std::initializer_list<std::string_view> known) const {
    for (const std::string& name : names_)
        if (std::find(known.begin(), known.end(), name) == known.end())
            return http::problem("bad_option",
                                 "'" + escape_for_log(name) + "' is not a member of this command");
    return std::nullopt;
}

std::vector<JsonPart> CommandMembers::others(std::string_view name) const {
    std::vector<JsonPart> others;
    for (size_t i = 0; i < parts_.size(); ++i)
        if (names_[i] != name)
            others.push_back(parts_[i]);
    return others;
}

std::optional<std::string> string_of(std::string_view value) {
    if (value.empty() || json_kind(value) != JsonKind::String)
        return std::nullopt;
    return json_text(value);
}

std::optional<http::Problem> check_name(const std::string& name) {
    if (!is_channel_name(name))
        return http::problem("bad_channel", "a channel name is 1 to 255 bytes of UTF-8 without "
                                            "control characters, ',' and '*'");
    if (is_reserved(name))
        return http::problem("bad_channel", "channel names that begin with '$' are reserved");
    return std::nullopt;
}

std::optional<http::Problem> check_name_or_wildcard(const std::string& name) {
    if (!is_wildcard(name))
        return check_name(name);
    const auto pattern = Pattern::parse(name);
    if (!pattern)
        return http::problem("bad_channel", "'" + name + "': " + pattern.error());
    if (is_reserved(name))
        return http::problem("bad_channel", "channel names that begin with '$' are reserved");
    return std::nullopt;
}

std::optional<http::Problem> read_names(std::string_view array, size_t most,
                                        std::vector<std::string>& names, NameCheck check) {
    std::vector<JsonPart> parts;
    if (read_json(array, kAnyDepth, &parts) != JsonKind::Array || parts.empty())
        return http::problem("bad_channel", "'channels' is a list of names");
    if (parts.size() > most)
        return http::problem("bad_channel", "more channels than 'subscriptions' in [limits]");
    for (const JsonPart& part : parts) {
        auto name = string_of(part.value);
        if (!name)
            return http::problem("bad_channel", "'channels' is a list of names");
        if (auto problem = check(*name))
            return problem;
        names.push_back(std::move(*name));
    }
    std::vector<std::string> sorted = names;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
        return http::problem("bad_channel", "a channel is named twice");
    return std::nullopt;
}

std::optional<http::Problem> read_since(std::string_view value, Since& since) {
    if (value.empty())
        return std::nullopt;
    const auto text = string_of(value);
    const auto parsed = parse_since(text ? *text : value);
    if (!parsed)
        return http::problem("bad_position",
                             "'since' is an id like k3f9q2.1042, latest, earliest, 0, or -N");
    since = *parsed;
    return std::nullopt;
}

std::optional<std::string> command_token(std::string_view json) {
    if (read_json(json, kMaxCommandDepth) != JsonKind::Object)
        return std::nullopt;
    const CommandMembers members(json);
    for (const char* verb : {"subscribe", "refresh"})
        if (const std::string_view inner = members.value(verb); !inner.empty())
            return CommandMembers(inner).text("token");
    return std::nullopt;
}

std::string command_id(std::string_view json) {
    const std::string_view id = CommandMembers(json).value("id");
    const bool is_number =
        !id.empty() && id.size() <= kMaxIdBytes && json_kind(id) == JsonKind::Number;
    return is_number ? std::string(id) : "null";
}

std::string ok_json(const std::string& id, std::string_view body) {
    return std::string("{\"reply\":").append(id).append(",\"ok\":").append(body).append("}");
}

std::string error_json(const std::string& id, const http::Problem& problem) {
    std::string json = "{\"reply\":" + id + ",\"error\":{\"code\":\"";
    json.append(problem.code).append("\",\"detail\":");
    append_json_string(json, problem.detail);
    return json + "}}";
}

http::Problem start_problem(Start::Status status) {
    switch (status) {
    case Start::Status::NoSection:
        return http::problem("channel_unknown", "no [channel] section matches");
    case Start::Status::ChannelsFull:
        return http::problem("overloaded", "there are as many channels as 'channels' in [limits]");
    case Start::Status::WildcardsFull:
        return http::problem("overloaded",
                             "there are as many wildcards as 'wildcards' in [limits]");
    case Start::Status::SubscribersFull:
        return http::problem("overloaded",
                             "a channel has as many subscribers as its 'subscribers' allows");
    default:
        return http::problem("broker_down", "the channel's broker is away");
    }
}

std::optional<http::Problem> read_long_list(std::string_view json, size_t max_channels,
                                            std::optional<LongList>& list) {
    std::vector<JsonPart> parts;
    if (read_json(json, kMaxCommandDepth, &parts) != JsonKind::Object)
        return http::problem(
            "bad_request",
            "the body is {\"channels\":[…],\"since\":…}, or one command of fanhorn.v1");
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
        list->since = string_of(since).value_or(std::string(since));
    return read_names(channels, max_channels, list->channels);
}

} // namespace fanhorn
