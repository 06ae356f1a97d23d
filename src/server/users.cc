// SPDX-License-Identifier: Apache-2.0
#include "server/users.h"

namespace fanhorn {

std::string user_channel(std::string_view user) {
    return "$user:" + std::string(user);
}

void Users::add(Standing& standing) {
    const std::string_view name = standing.identities.user();
    if (name.empty() || standing.users)
        return;
    auto found = users_.find(name);
    if (found == users_.end()) {
        auto made = std::make_unique<User>();
        made->name = name;
        found = users_.insert(std::move(made)).first;
    }
    standing.users = this;
    standing.user = name;
    (*found)->standings.push_back(standing);
}

void Users::remove(Standing& standing) {
    const auto found = users_.find(std::string_view(standing.user));
    standing.of_user.unlink();
    standing.users = nullptr;
    if (found != users_.end() && (*found)->standings.empty())
        users_.erase(found);
}

} // namespace fanhorn
