// SPDX-License-Identifier: Apache-2.0
#include "modules/redis_route.h"

#include <algorithm>
#include <utility>

namespace fanhorn {

namespace {

RedisUrl url_of(const BrokerSettings& settings) {
    auto url = parse_redis_url(settings.url);
    return url ? std::move(*url) : RedisUrl(); // sentinels may do without
}

std::vector<RedisUrl> sentinels_of(const BrokerSettings& settings) {
    std::vector<RedisUrl> all;
    for (const std::string& text : settings.sentinels)
        all.push_back(*parse_sentinel(text));
    return all;
}

Result<Destination> destination_of(const RedisUrl& url, const RedisHost& host) {
    Destination destination;
    if (!url.path.empty()) {
        auto address = unix_peer(url.path);
        if (!address)
            return Error{address.error()};
        destination.peers.push_back(*address);
        return destination;
    }
    auto addresses = resolve_host(host.name, host.port);
    if (!addresses)
        return Error{addresses.error()};
    destination.peers = std::move(*addresses);
    destination.host = host.name;
    return destination;
}

} // namespace

RedisRoute::RedisRoute(Loop& loop, const Clock& clock, const BrokerSettings& settings,
                       Events events)
    : clock_(clock), events_(std::move(events)), mode_(settings.mode), master_(settings.master),
      tls_(settings.tls), url_(url_of(settings)),
      sentinel_(loop, clock,
                {[this] { ask_sentinel(); },
                 [this](std::string_view reason) { lose_sentinel(reason); }, nullptr}) {
    for (RedisUrl& url : sentinels_of(settings))
        sentinels_.push_back({std::move(url), {}});
}

Result<RedisPeer> RedisRoute::peer_at(const RedisUrl& url, const RedisHost& host) const {
    auto destination = destination_of(url, host);
    if (!destination)
        return Error{destination.error()};
    if (url_.is_secure)
        destination->tls = tls_;
    return RedisPeer{std::move(*destination), url.user, url.password, url.database};
}

void RedisRoute::find() {
    const std::optional<RedisHost> moved = std::exchange(moved_, std::nullopt);
    if (mode_ == RedisMode::Sentinel)
        return find_by_sentinel();
    if (mode_ == RedisMode::Cluster && moved)
        return give(*moved);
    give(url_.hosts.empty() ? RedisHost() : url_.hosts[next_++ % url_.hosts.size()]);
}

void RedisRoute::give(const RedisHost& host) {
    const auto peer = peer_at(url_, host);
    if (!peer)
        return events_.on_lost(peer.error());
    found_ = host;
    events_.on_found(*peer);
}

void RedisRoute::close() {
    is_finding_ = false;
    found_ = {};
    sentinel_.close();
}

// ---- sentinels

// All that are not known yet are looked up now, so that the watch need not.
void RedisRoute::find_by_sentinel() {
    const size_t at = next_ % sentinels_.size();
    for (size_t i = 0; i < sentinels_.size(); ++i)
        if (i == at || sentinels_[i].peer.destination.peers.empty())
            if (auto peer = peer_at(sentinels_[i].url, sentinels_[i].url.hosts[0]))
                sentinels_[i].peer = std::move(*peer);
    is_finding_ = true;
    open_sentinel();
}

void RedisRoute::open_sentinel() {
    const Sentinel& sentinel = sentinels_[next_++ % sentinels_.size()];
    asked_at_ = clock_.now();
    sentinel_name_ = sentinel.url.hosts[0].text();
    if (sentinel.peer.destination.peers.empty())
        return lose_sentinel("its name is not known");
    sentinel_.open(sentinel.peer);
}

void RedisRoute::ask_sentinel() {
    asked_at_ = clock_.now();
    const std::vector<std::string> words = {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", master_};
    sentinel_.ask(words, [this](const RedisReply& reply) { on_master(reply); });
    sentinel_.flush();
}

void RedisRoute::on_master(const RedisReply& reply) {
    if (reply.is_error() && reply.text().empty())
        return; // the connection ended, which is told by itself
    const RedisHost master{std::string(reply[0].text()), std::string(reply[1].text())};
    if (reply.size() != 2)
        return lose_sentinel(reply.is_error() ? reply.text() : "it knows no master " + master_);
    if (std::exchange(is_finding_, false))
        give(master);
    else if (!found_.name.empty() && master != found_)
        events_.on_lost("the sentinels name another master, " + master.text());
}

// While there is a server, the next one is asked after it.
void RedisRoute::lose_sentinel(std::string_view reason) {
    const std::string text = "sentinel " + sentinel_name_ + ": " + std::string(reason);
    sentinel_.close();
    if (std::exchange(is_finding_, false))
        events_.on_lost(text);
}

void RedisRoute::tick() {
    sentinel_.tick();
    if (mode_ != RedisMode::Sentinel || found_.name.empty() || clock_.now() < asked_at_ + kAskAgain)
        return;
    if (sentinel_.is_open())
        ask_sentinel();
    else
        open_sentinel();
}

} // namespace fanhorn
