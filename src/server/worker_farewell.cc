// SPDX-License-Identifier: Apache-2.0
// Who is told to go: by a drain, at the end, or for his age.
#include "base/random.h"
#include "server/worker.h"

namespace fanhorn {

namespace {

constexpr uint32_t kRetryMinMs = 500;
constexpr uint32_t kRetrySpreadMs = 10'000;

uint32_t jittered_retry_ms() {
    return kRetryMinMs + random_below(kRetrySpreadMs);
}

// Of those whose age it is, who go one by one.
uint32_t short_retry_ms() {
    return 100 + random_below(900);
}

} // namespace

void Worker::send_off(Connection& connection, uint32_t retry_ms) {
    connection.of_worker.unlink();
    leaving_.push_back(connection);
    connection.go_away(retry_ms);
}

void Worker::drain(Millis over) {
    if (is_draining())
        return;
    for (auto& listener : listeners_)
        listener->acceptor = nullptr;
    drain_from_ = now();
    drain_until_ = drain_from_ + std::max<Millis>(over, 1);
    drain_total_ = connection_count_;
    drain_closed_ = 0;
    drain_some();
}

// Closes at an even pace, oldest first.
void Worker::drain_some() {
    const Millis now = this->now();
    const double share = now >= drain_until_ ? 1.0
                                             : static_cast<double>(now - drain_from_) /
                                                   static_cast<double>(drain_until_ - drain_from_);
    const auto due = static_cast<size_t>(share * static_cast<double>(drain_total_));
    while (drain_closed_ < due || now >= drain_until_) {
        Connection* connection = connections_.front();
        if (!connection)
            break;
        ++drain_closed_;
        send_off(*connection, jittered_retry_ms());
    }
}

void Worker::stop() {
    // Once each, what can be said at once; the sockets close behind it.
    for (Connection* each = connections_.front(); each; each = connections_.front())
        send_off(*each, jittered_retry_ms());
    is_stopping_ = true;
}

Millis Worker::date_to_go(const ListenerSettings& listener) const {
    const Millis age = config().limits.connection_max_age;
    return age == 0 || listener.is_private() ? 0 : now() + jittered_age(age);
}

// Who is in the middle of a request is asked again when it should be over.
void Worker::end_aged() {
    constexpr int kMost = 1000;
    constexpr Millis kAgainMs = 1000;
    const Millis now = this->now();
    for (int i = 0; i < kMost; ++i) {
        Connection* connection = connections_.due(now);
        if (!connection)
            return;
        const std::string who = to_text(connection->client());
        send_off(*connection, short_retry_ms());
        if (connection->is_leaving())
            counters_.hit(Limit::ConnectionMaxAge, who);
        else
            set_date_to_go(*connection, now + kAgainMs);
    }
}

} // namespace fanhorn
