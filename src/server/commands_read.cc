// SPDX-License-Identifier: Apache-2.0
// fanhorn.v1: how far the client's user has read.
#include "base/text.h"
#include "server/auth.h"
#include "server/commands.h"
#include "server/users.h"
#include "server/worker.h"

namespace fanhorn {

namespace {

std::string marker_json(const std::string& channel, Position position) {
    std::string json = "{\"channel\":";
    append_json_string(json, channel);
    json += ",\"position\":";
    append_position_or_null(json, position);
    return json + "}";
}

http::Problem mark_problem(Marked::Status status) {
    switch (status) {
    case Marked::Status::Epoch:
        return http::problem("bad_position", "'position' is of another epoch than the broker's");
    case Marked::Status::Ahead:
        return http::problem("bad_position", "no message has come to that 'position' yet");
    default:
        return http::problem("broker_down", "the channel's broker is away");
    }
}

// To the user's other connections, on his own channel.
Draft mark_event(const ReadMark& mark, const ConnectionId& sender) {
    Draft draft;
    draft.channel = user_channel(mark.user);
    draft.event = "read";
    draft.content_type = "application/json";
    draft.payload = marker_json(mark.channel, mark.position);
    draft.exclude = sender;
    draft.store = false;
    return draft;
}

} // namespace

std::optional<http::Problem> Commands::read_mark(const CommandMembers& members, ReadMark& mark,
                                                 const ChannelSettings*& settings) const {
    if (auto problem = members.check_known({"channel", "position"}))
        return problem;
    if (auto problem = read_channel(members, mark.channel, settings))
        return problem;
    if (auto problem = rights_->must_be_user(worker_.config().authorities))
        return problem;
    mark.user = rights_->identities().user();
    if (members.value("position").empty())
        return std::nullopt;
    const auto text = members.text("position");
    const auto position = text ? parse_position(*text) : std::nullopt;
    if (!position)
        return http::problem("bad_position", "'position' is an id like k3f9q2.1042");
    mark.position = *position;
    mark.told = mark_event(mark, connection_);
    return std::nullopt;
}

// Without a position it asks.
void Commands::read(const std::string& id, const CommandMembers& members) {
    ReadMark mark;
    const ChannelSettings* settings = nullptr;
    if (auto problem = read_mark(members, mark, settings))
        return error(id, *problem);
    Broker& broker = *worker_.directory().end_for(*settings).broker;
    if (mark.told.channel.empty())
        return broker.markers({mark.channel}, mark.user,
                              [self = shared_from_this(), id,
                               channel = mark.channel](const std::vector<Position>& found) {
                                  self->ok(id, marker_json(channel, found[0]));
                              });
    const std::string channel = mark.channel;
    broker.mark(std::move(mark), [self = shared_from_this(), id, channel](const Marked& marked) {
        if (marked.position.epoch == 0)
            return self->error(id, mark_problem(marked.status));
        self->ok(id, marker_json(channel, marked.position));
    });
}

// What the reply to that step tells of the user's markers: filled before the step is placed.
std::shared_ptr<std::string> Commands::find_markers(const Session::Step& step, bool is_list) const {
    auto told = std::make_shared<std::string>();
    const std::string user(rights_->identities().user());
    if (user.empty())
        return told;
    session_->end().broker->markers(
        step.channels, user,
        [told, is_list, names = step.channels](const std::vector<Position>& found) {
            std::string json;
            for (size_t i = 0; i < names.size(); ++i) {
                if (found[i].epoch == 0)
                    continue;
                if (is_list) {
                    append_json_string(json += json.empty() ? "" : ",", names[i]);
                    json += ':';
                }
                append_position_or_null(json, found[i]);
            }
            if (!json.empty())
                *told = ",\"read\":" + (is_list ? "{" + json + "}" : json);
        });
    return told;
}

} // namespace fanhorn
