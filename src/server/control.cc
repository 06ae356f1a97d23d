// SPDX-License-Identifier: Apache-2.0
#include "server/control.h"

#include "base/text.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr size_t kDefaultPage = 100;
constexpr size_t kMaxPage = 1000;

std::string facts_json(const ChannelFacts& facts) {
    std::string out = "{\"channel\":";
    append_json_string(out, facts.channel);
    out += ",\"subscribers\":{\"websocket\":";
    append_number(out, facts.subscribers[0]);
    out += ",\"sse\":";
    append_number(out, facts.subscribers[1]);
    out += ",\"longpoll\":";
    append_number(out, facts.subscribers[2]);
    out += "},\"messages\":";
    append_number(out, facts.messages);
    out += ",\"bytes\":";
    append_number(out, facts.bytes);
    out += ",\"first\":";
    append_position_or_null(out, facts.first);
    out += ",\"last\":";
    append_position_or_null(out, facts.last);
    out += ",\"n\":";
    append_number(out, facts.n);
    out += ",\"section\":";
    append_json_string(out, facts.section);
    out += '}';
    return out;
}

Answer unknown(const std::string& name) {
    return problem_answer(http::problem("not_found", "there is no channel '" + name + "' now"));
}

Answer unmatched(const std::string& name) {
    return problem_answer(
        http::problem("channel_unknown", "no [channel] section matches '" + name + "'"));
}

Answer broker_away() {
    return problem_answer(http::problem("broker_down", "the channel's broker is away"));
}

std::string list_json(const ChannelList& list) {
    std::string out = "{\"channels\":[";
    for (size_t i = 0; i < list.channels.size(); ++i) {
        if (i > 0)
            out += ',';
        out += facts_json(list.channels[i]);
    }
    out += "],\"cursor\":";
    if (list.cursor.empty())
        out += "null";
    else
        append_json_string(out, list.cursor);
    out += '}';
    return out;
}

// The pages of several brokers as one.
ChannelList merged(std::vector<ChannelList> lists, size_t limit) {
    ChannelList all;
    std::string horizon; // beyond it one of the lists is not complete
    for (ChannelList& list : lists) {
        if (!list.cursor.empty() && (horizon.empty() || list.cursor < horizon))
            horizon = list.cursor;
        std::move(list.channels.begin(), list.channels.end(), std::back_inserter(all.channels));
    }
    std::sort(all.channels.begin(), all.channels.end(),
              [](const auto& a, const auto& b) { return a.channel < b.channel; });
    const auto beyond =
        std::find_if(all.channels.begin(), all.channels.end(),
                     [&](const auto& each) { return !horizon.empty() && each.channel >= horizon; });
    const auto keep = std::min(static_cast<size_t>(beyond - all.channels.begin()), limit);
    if (keep < all.channels.size())
        all.cursor = all.channels[keep].channel;
    else
        all.cursor = horizon;
    all.channels.resize(keep);
    return all;
}

} // namespace

void Control::channel(const std::string& name, Reply reply) const {
    const ChannelSettings* settings = directory_.settings_for(name);
    if (!settings)
        return reply(unmatched(name));
    Broker& broker = *directory_.end_for(*settings).broker;
    if (!broker.is_up())
        return reply(broker_away());
    broker.facts(name,
                 [&broker, name, reply = std::move(reply)](std::optional<ChannelFacts> facts) {
                     if (facts)
                         return reply(json_answer(facts_json(*facts)));
                     reply(broker.is_up() ? unknown(name) : broker_away()); // which it may be since
                 });
}

void Control::channels(const http::Request& request, Reply reply) const {
    const std::string* prefix = request.parameter("prefix");
    const std::string* cursor = request.parameter("cursor");
    size_t limit = kDefaultPage;
    if (const std::string* text = request.parameter("limit")) {
        const auto number = parse_u64(*text);
        if (!number || *number == 0 || *number > kMaxPage)
            return reply(problem_answer(http::problem("bad_option", "'limit' is 1 to 1000")));
        limit = *number;
    }
    struct Job {
        std::vector<ChannelList> lists;
        size_t open = 1;
        bool is_away = false; // one of the brokers is, by now
        Reply reply;
    };
    auto job = std::make_shared<Job>();
    job->reply = std::move(reply);
    const auto close_one = [job, limit] {
        if (--job->open == 0)
            job->reply(job->is_away ? broker_away()
                                    : json_answer(list_json(merged(std::move(job->lists), limit))));
    };
    for (const auto& [name, end] : directory_.ends()) {
        if (!end->broker->is_up())
            return job->reply(broker_away());
        ++job->open;
        end->broker->list(prefix ? *prefix : "", cursor ? *cursor : "", limit,
                          [job, close_one, broker = end->broker](ChannelList list) {
                              job->is_away |= !broker->is_up();
                              job->lists.push_back(std::move(list));
                              close_one();
                          });
    }
    close_one();
}

void Control::presence(const std::string& name, Reply reply) const {
    const ChannelSettings* settings = directory_.settings_for(name);
    if (!settings)
        return reply(unmatched(name));
    if (!settings->presence)
        return reply(problem_answer(
            http::problem("not_found", "'presence' is off for the channel '" + name + "'")));
    Broker& broker = *directory_.end_for(*settings).broker;
    if (!broker.is_up())
        return reply(broker_away());
    broker.attendance(
        name, [&broker, reply = std::move(reply)](const std::vector<Attendee>& users) {
            reply(broker.is_up() ? json_answer(attendance_json(users)) : broker_away());
        });
}

void Control::remove(const std::string& name, Reply reply) const {
    const ChannelSettings* settings = directory_.settings_for(name);
    if (!settings)
        return reply(unmatched(name));
    Broker& broker = *directory_.end_for(*settings).broker;
    broker.remove(name, [name, reply = std::move(reply)](Removal removal) {
        if (removal != Removal::Removed)
            return reply(removal == Removal::Unknown ? unknown(name) : broker_away());
        Answer answer;
        answer.status = 204;
        reply(answer);
    });
}

} // namespace fanhorn
