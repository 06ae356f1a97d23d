// SPDX-License-Identifier: Apache-2.0
// The local broker: how far its users have read.
#include "modules/broker_local_channel.h"

namespace fanhorn {

Marked LocalBroker::judge(const ReadMark& mark) const {
    if (is_retired_)
        return {Marked::Status::Down, {}};
    if (mark.position.epoch != epoch_)
        return {Marked::Status::Epoch, {}};
    if (mark.position.seq > head_)
        return {Marked::Status::Ahead, {}};
    return {Marked::Status::Moved, mark.position};
}

ReadMarkers::Moved LocalBroker::move_marker_to(const ReadMark& mark) {
    const ReadMarkers::Moved moved =
        markers_.move(mark.user, mark.channel, mark.position.seq,
                      {.all = limits_.read_markers, .user = limits_.user_read_markers});
    if (moved.has_forgotten)
        reached(Limit::ReadMarkers);
    if (moved.has_forgotten_own)
        reached(Limit::UserReadMarkers);
    return moved;
}

Marked LocalBroker::move_marker(ReadMark& mark, Garbage& garbage) {
    if (const Marked judged = judge(mark); judged.status != Marked::Status::Moved)
        return judged;
    const ReadMarkers::Moved moved = move_marker_to(mark);
    if (moved.has_moved && find(mark.told.channel)) {
        publish_one(mark.told, nullptr, clock_.now(), garbage);
        pushed_.store(head_, std::memory_order_release);
    }
    return {moved.has_moved ? Marked::Status::Moved : Marked::Status::Kept, {epoch_, moved.seq}};
}

void LocalBroker::mark(ReadMark mark, std::function<void(Marked)> done) {
    After after;
    Garbage garbage; // freed outside the lock
    Marked result;
    {
        std::lock_guard lock(mutex_);
        result = move_marker(mark, garbage);
        take(after);
    }
    after.run();
    done(result);
}

void LocalBroker::markers(const std::vector<std::string>& channels, const std::string& user,
                          std::function<void(std::vector<Position>)> done) {
    std::vector<Position> found(channels.size());
    {
        std::lock_guard lock(mutex_);
        for (size_t i = 0; i < channels.size(); ++i)
            if (const auto seq = markers_.find(user, channels[i]))
                found[i] = {epoch_, *seq};
    }
    done(std::move(found));
}

} // namespace fanhorn
