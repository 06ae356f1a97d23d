// SPDX-License-Identifier: Apache-2.0
// What the Redis broker has under way; for its own files.
#pragma once

#include "modules/broker_redis.h"

namespace fanhorn {

struct RedisBroker::Publishing {
    Words words;
    std::vector<std::pair<size_t, std::string>> sent; // which of the results, and its channel
    std::vector<Published> results;
    std::function<void(std::vector<Published>)> done;
    Home home;
};

// Who asked, and what for. Copied by nobody: what `done` holds may belong to the worker's thread.
template <typename T> struct RedisBroker::Question {
    std::function<void(T)> done;
    Home home;

    void answer(T value) {
        home([done = std::move(done), value = std::move(value)]() mutable {
            done(std::move(value));
        });
    }
};

template <typename T>
std::shared_ptr<RedisBroker::Question<T>> RedisBroker::question(std::function<void(T)> done) {
    return std::make_shared<Question<T>>(Question<T>{std::move(done), home()});
}

// A subscription, or the look of a reader that does not stay, on its way to a start.
struct RedisBroker::Placing {
    std::vector<std::string> names;
    Since since;
    std::function<void(Start)> done;
    Home home;
    std::optional<size_t> worker; // none: nothing is wanted
    Snapshot settings;
    // What its wildcards match, as the server listed it when its count of names was `version`.
    std::vector<std::vector<std::string>> matched; // one for each of the names
    std::vector<bool> is_cut;                      // too many
    std::string version;
    int rounds = 0;
    size_t listing = 0; // wildcards still to be listed
    std::string word;
    bool is_moved = false;                     // there were other names between two listings
    bool is_asked = false, is_carried = false; // the script; the word has come
    std::optional<Start> start;
};

template <typename Visit>
void RedisBroker::each_topic_of(const std::string& channel, Visit visit) const {
    if (const auto found = topics_.find(std::string_view(channel)); found != topics_.end())
        visit(**found);
    if (wildcards_.empty() || is_reserved(channel))
        return;
    const auto rules = settings().rules;
    const ChannelSettings* section = rules->settings_for(channel);
    for (Topic* topic : wildcards_)
        if (topic->pattern->matches(channel) &&
            rules->settings_for_wildcard(*topic->pattern) == section)
            visit(*topic);
}

} // namespace fanhorn
