// SPDX-License-Identifier: Apache-2.0
#include "server/users.h"

namespace fanhorn {

static constexpr std::string_view kUserPrefix = "$user:";

std::string user_channel(std::string_view user) {
    return std::string(kUserPrefix) + std::string(user);
}

std::string_view user_of_channel(std::string_view channel) {
    return channel.starts_with(kUserPrefix) ? channel.substr(kUserPrefix.size())
                                            : std::string_view();
}

void UserCounts::add(std::string_view user, uint32_t channels) {
    const uint64_t key = keyed_hash(user);
    const std::lock_guard lock(mutex_);
    Count& count = counts_[key];
    ++count.connections;
    count.channels += channels;
}

void UserCounts::remove(std::string_view user, uint32_t channels) {
    const uint64_t key = keyed_hash(user);
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(key);
    found->second.channels -= channels;
    if (--found->second.connections == 0)
        counts_.erase(found);
}

void UserCounts::change(std::string_view user, uint32_t before, uint32_t channels) {
    const uint64_t key = keyed_hash(user);
    const std::lock_guard lock(mutex_);
    Count& count = counts_.find(key)->second;
    count.channels += channels;
    count.channels -= before;
}

UserCounts::Count UserCounts::of(std::string_view user) const {
    const uint64_t key = keyed_hash(user);
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(key);
    return found == counts_.end() ? Count{} : found->second;
}

size_t UserCounts::size() const {
    const std::lock_guard lock(mutex_);
    return counts_.size();
}

void Users::add(Standing& standing, Millis now) {
    const std::string_view name = standing.identities.user();
    if (name.empty() || standing.users)
        return;
    auto found = users_.find(name);
    if (found == users_.end()) {
        auto made = std::make_unique<User>();
        made->name = name;
        found = users_.insert(std::move(made)).first;
        if (observer_)
            observer_->on_user((*found)->name, true);
    }
    standing.users = this;
    standing.since = now;
    standing.user = name;
    everywhere_.add(name, standing.channels);
    (*found)->standings.push_back(standing);
}

void Users::remove(Standing& standing) {
    const auto found = users_.find(std::string_view(standing.user));
    standing.of_user.unlink();
    everywhere_.remove(standing.user, standing.channels);
    standing.users = nullptr;
    if (found == users_.end() || !(*found)->standings.empty())
        return;
    if (observer_)
        observer_->on_user((*found)->name, false);
    users_.erase(found);
}

void Users::set_channels(Standing& standing, size_t channels) {
    const auto now = static_cast<uint32_t>(channels);
    if (now == standing.channels)
        return;
    everywhere_.change(standing.user, standing.channels, now);
    standing.channels = now;
}

} // namespace fanhorn
