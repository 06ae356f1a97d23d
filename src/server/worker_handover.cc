// SPDX-License-Identifier: Apache-2.0
// A worker whose connections go to the process that takes this one's place, and one that gets them.
#include "server/handed.h"
#include "server/worker.h"

namespace fanhorn {

// ---- the one that ends

std::vector<std::pair<std::string, int>> Worker::listening() const {
    std::vector<std::pair<std::string, int>> sockets;
    for (const auto& listener : listeners_)
        if (listener->acceptor)
            sockets.emplace_back(listener->key, listener->acceptor->socket());
    return sockets;
}

// All workers take what others have for them until nobody has anything: then nothing moves.
void Worker::hold_still() {
    const std::shared_ptr<Freeze> freeze = std::exchange(freeze_, nullptr);
    while (freeze->settle(take_all())) {
    }
    reap();
    std::vector<Packed> packed = pack_connections(*freeze);
    std::vector<Connection*> going;
    for (const Packed& each : packed)
        going.push_back(each.connection);
    if (freeze->hold(std::move(packed)) == Freeze::Verdict::Gone)
        let_go(going);
}

// What does not go out in some time is handed over.
bool Worker::take_all() {
    constexpr int kFlushes = 50;
    const bool has_moved = deliver();
    for (int i = 0; i < kFlushes && hub_.has_due(); ++i)
        flush();
    return has_moved;
}

// Large ones only as long as there are few: they hold up all others, and can as well be drained.
std::vector<Packed> Worker::pack_connections(const Freeze& freeze) {
    constexpr size_t kLargeBytes = 64 << 10, kMostOfLarge = 8 << 20;
    size_t of_large = 0;
    std::vector<Packed> packed;
    connections_.each([&](Connection& connection, Millis goes_at) {
        if (!freeze.takes(connection.listener_key()))
            return;
        auto handed = Handover::pack(connection);
        if (!handed)
            return;
        handed->goes_at = goes_at;
        std::string record = pack_handed(*handed);
        of_large += record.size() > kLargeBytes ? record.size() : 0;
        if (record.size() <= kLargeBytes || of_large <= kMostOfLarge)
            packed.push_back({&connection, connection.plain_socket(), number_, std::move(record)});
    });
    return packed;
}

// Without a word: they are the other's, as is who connects from now on.
void Worker::let_go(const std::vector<Connection*>& connections) {
    for (const auto& listener : listeners_)
        listener->acceptor = nullptr;
    for (Connection* each : connections)
        each->drop();
    reap();
}

// ---- the one that goes on

ListenerEnd* Worker::listener(std::string_view key) const {
    for (const auto& listener : listeners_)
        if (listener->key == key)
            return listener.get();
    return nullptr;
}

void Worker::place_all(std::span<Descriptor> sockets,
                       std::span<const std::optional<Handed>> handed) {
    for (size_t i = 0; i < handed.size(); ++i)
        Handover::place(*this, sockets[i].release(), *handed[i]);
}

void Worker::begin_serving() {
    holds_listeners_ = false;
    for (const auto& listener : listeners_)
        if (listener->held)
            accept_on(*listener, std::move(listener->held));
    std::erase_if(listeners_, [](const auto& each) { return !each->acceptor->is_open(); });
    std::vector<Connection*> placed;
    connections_.each([&](Connection& connection, Millis) { placed.push_back(&connection); });
    for (Connection* each : placed)
        Handover::watch(*each);
}

} // namespace fanhorn
