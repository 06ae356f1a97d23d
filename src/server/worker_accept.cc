// SPDX-License-Identifier: Apache-2.0
// Who is let in: listeners, and the limits that a connection may be beyond.
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "server/socket_connection.h"
#include "server/worker.h"

#include <unistd.h>

namespace fanhorn {

namespace {

// Beyond max_connections, of private listeners.
constexpr uint32_t kPrivateConnections = 16;

std::string_view detail_of(Limit limit) {
    switch (limit) {
    case Limit::ConnectionsPerAddress:
        return "your address has as many connections as 'connections_per_address' in [limits]";
    case Limit::ConnectionRate:
        return "your address opens connections faster than 'connection_rate' in [limits]";
    case Limit::Descriptors:
        return "no descriptor is left for a connection";
    default:
        return "there are as many connections as 'max_connections'";
    }
}

AddressLimits limits_of(const LimitSettings& limits) {
    return {.connections = limits.connections_per_address, .rate = limits.connection_rate};
}

// What counts for it; 0: nothing does. A proxy is not who opens its connections.
uint64_t address_key(const ListenerSettings& listener, const NetAddress& address) {
    const bool is_counted =
        address.kind == NetAddress::Kind::V4 || address.kind == NetAddress::Kind::V6;
    return is_counted && !is_in(listener.trusted_proxies, address)
               ? keyed_hash(network_key(address))
               : 0;
}

// Told without reading anything, to a connection that is one too many.
void refuse_over_limit(int fd, std::string_view detail) {
    const std::string body =
        http::problem_body(http::problem("overloaded", std::string(detail))) + '\n';
    std::string out;
    http::append_status(out, 503);
    http::append_header(out, "Content-Type", "application/problem+json");
    http::append_content_length(out, body.size());
    http::append_header(out, "Retry-After", std::to_string(1 + random_below(10)));
    http::append_header(out, "Connection", "close");
    out.append("\r\n").append(body);
    const iovec piece = {out.data(), out.size()};
    send_pieces(fd, &piece, 1);
    shutdown_sending(fd);
}

} // namespace

void Worker::open(NewListener listener) {
    auto end = make_ref<ListenerEnd>(*this);
    end->settings = std::move(listener.settings);
    end->key = std::move(listener.key);
    if (holds_listeners_)
        end->held = std::move(listener.socket);
    else
        accept_on(*end, std::move(listener.socket));
    if (end->held || end->acceptor->is_open())
        listeners_.push_back(std::move(end));
}

void Worker::accept_on(ListenerEnd& listener, Descriptor socket) {
    listener.acceptor = std::make_unique<Acceptor>(*loop_, shared_.clock, std::move(socket),
                                                   *reserve_, acceptor_owner(listener));
    if (listener.acceptor->is_open())
        return bound_silence(listener);
    log_event(LogLevel::Error, "listener_not_opened",
              {{"address", listener.key}, {"reason", "no descriptor left"}});
}

Acceptor::Owner Worker::acceptor_owner(ListenerEnd& listener) {
    return {
        .on_accept = [this, &listener](int fd, bool is_spare) { accept(listener, fd, is_spare); },
        .on_exhausted =
            [this] {
                counters_.hit(Limit::Descriptors);
                log_event(LogLevel::Error, "descriptors_exhausted",
                          {{"while", "accepting"}, {"pause_ms", Acceptor::kPause}});
            },
        .hold =
            [this, &listener] {
                const Rate rate = config().limits.accept_rate;
                return rate.is_limited() && !listener.settings.is_private()
                           ? accept_pace_.wait(rate, monotonic_micros())
                           : 0;
            },
        .on_held = [this, &listener] { counters_.hit(Limit::AcceptRate, listener.settings.name); },
    };
}

// A peer that is gone is not noticed by us as long as the kernel takes what there is for it. One
// whose socket is full is ours to end, and to count.
void Worker::bound_silence(const ListenerEnd& listener) const {
    constexpr Millis kLaterMs = 5000;
    set_silence(listener.acceptor->socket(), config().limits.send_timeout + kLaterMs);
}

void Worker::accept(ListenerEnd& listener, int fd, bool is_spare) {
    if (const Rate rate = config().limits.accept_rate;
        rate.is_limited() && !listener.settings.is_private())
        accept_pace_.take(rate, monotonic_micros());
    if (refuses(listener.settings, fd)) {
        close(fd);
        return;
    }
    const bool is_counted = limits_of(config().limits).any() && !listener.settings.is_private();
    const uint64_t address = is_counted ? address_key(listener.settings, peer_of(fd)) : 0;
    if (const auto limit = enter(listener.settings, is_spare, address))
        return turn_away(listener.settings, fd, *limit, is_spare);
    counters_.accepted.add(1);
    auto* connection = new SocketConnection(Ref<ListenerEnd>(&listener), fd);
    if (address)
        addresses_.emplace(connection, address);
    adopt(*connection, date_to_go(listener.settings));
    if (!connection->begin())
        connection->drop();
}

// Takes a place, or returns the limit that one connection more is beyond.
std::optional<Limit> Worker::enter(const ListenerSettings& listener, bool is_spare,
                                   uint64_t address) {
    if (!listener.is_private() && (is_spare || !reserve_->is_whole()))
        return Limit::Descriptors;
    if (!find_place(listener))
        return Limit::MaxConnections;
    const auto beyond = address
                            ? shared_.addresses.enter(address, limits_of(config().limits), now())
                            : std::nullopt;
    if (beyond)
        shared_.connections.fetch_sub(1, std::memory_order_relaxed);
    return beyond;
}

std::optional<http::Problem> Worker::count_client(const Connection& connection,
                                                  const ListenerSettings& listener) {
    const AddressLimits limits = limits_of(config().limits);
    if (!limits.any() || listener.is_private() || addresses_.contains(&connection))
        return std::nullopt;
    const NetAddress client = connection.client();
    const uint64_t address = address_key(listener, client);
    if (address == 0)
        return std::nullopt;
    if (const auto limit = shared_.addresses.enter(address, limits, now())) {
        counters_.hit(*limit, to_text(client));
        return http::problem("overloaded", std::string(detail_of(*limit)));
    }
    addresses_.emplace(&connection, address);
    return std::nullopt;
}

// It has closed.
void Worker::leave(const Connection& connection) {
    if (addresses_.empty())
        return;
    if (const auto found = addresses_.find(&connection); found != addresses_.end()) {
        shared_.addresses.leave(found->second);
        addresses_.erase(found);
    }
}

void Worker::turn_away(const ListenerSettings& listener, int fd, Limit limit, bool is_spare) {
    const bool is_of_address =
        limit == Limit::ConnectionsPerAddress || limit == Limit::ConnectionRate;
    counters_.count(limit);
    if (!is_spare) // else it has been told that descriptors ran out
        log_limit(limit, is_of_address ? to_text(peer_of(fd)) : listener.name);
    if (!listener.tls_context)
        refuse_over_limit(fd, detail_of(limit));
    close(fd);
    reserve_->refill();
}

bool Worker::find_place(const ListenerSettings& listener) {
    const uint32_t most = shared_.max_connections.load(std::memory_order_relaxed) +
                          (listener.is_private() ? kPrivateConnections : 0);
    if (shared_.connections.fetch_add(1, std::memory_order_relaxed) < most)
        return true;
    shared_.connections.fetch_sub(1, std::memory_order_relaxed);
    return false;
}

bool Worker::take_place(const ListenerSettings& listener) {
    const bool is_found = find_place(listener);
    if (!is_found)
        counters_.hit(Limit::MaxConnections, listener.name);
    return is_found;
}

// Beyond any limit: it has been let in.
void Worker::place(Connection& connection, const ListenerSettings& listener, Millis goes_at) {
    shared_.connections.fetch_add(1, std::memory_order_relaxed);
    adopt(connection, goes_at);
    if (!limits_of(config().limits).any() || listener.is_private())
        return;
    if (const uint64_t address = address_key(listener, connection.client())) {
        shared_.addresses.enter(address, {}, now());
        addresses_.emplace(&connection, address);
    }
}

void Worker::adopt(Connection& connection, Millis goes_at) {
    connections_.add(connection, goes_at);
    ++connection_count_;
}

} // namespace fanhorn
