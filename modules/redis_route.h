// SPDX-License-Identifier: Apache-2.0
// Which server has a broker's keys: that of the URL, the master that sentinels name, or the node of
// a cluster that has their slot. All on one loop's thread.
#pragma once

#include "modules/redis_connection.h"
#include "modules/redis_url.h"
#include "relay/settings.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace fanhorn {

class RedisRoute {
  public:
    // Between two questions to a sentinel whether the master is still the master.
    static constexpr Millis kAskAgain = 1000;

    struct Events {
        std::function<void(const RedisPeer& peer)> on_found;
        // None was found; or the one that was is not it any more.
        std::function<void(std::string_view reason)> on_lost;
    };

    // The settings have been checked.
    RedisRoute(Loop& loop, const Clock& clock, const BrokerSettings& settings, Events events);

    // One of the events follows, perhaps within the call. Each call begins with another sentinel,
    // or another host of the URL, than the last. Waits for the resolver where the server is named
    // by more than an address: to be called only while there is no server.
    void find();
    // Why the server was lost; where that says who has the keys, find() gives that one next.
    void note(std::string_view reason) { moved_ = moved_to(reason); }
    // Some times a second. Asks whether the server is still the one, without waiting for anything.
    void tick();
    // There is no server; no event follows.
    void close();

  private:
    struct Sentinel {
        RedisUrl url;
        RedisPeer peer; // as its name was last resolved
    };

    void give(const RedisHost& host);
    void find_by_sentinel();
    void open_sentinel();
    void ask_sentinel();
    void on_master(const RedisReply& reply);
    void lose_sentinel(std::string_view reason);
    Result<RedisPeer> peer_at(const RedisUrl& url, const RedisHost& host) const;

    const Clock& clock_;
    const Events events_;
    const RedisMode mode_;
    const std::string master_;
    const std::shared_ptr<const ClientTls> tls_;
    const RedisUrl url_;
    std::vector<Sentinel> sentinels_;
    RedisConnection sentinel_; // to one of them
    std::string sentinel_name_;
    size_t next_ = 0; // of the hosts, or the sentinels
    bool is_finding_ = false;
    std::optional<RedisHost> moved_;
    RedisHost found_; // no name: none
    Millis asked_at_ = 0;
};

} // namespace fanhorn
