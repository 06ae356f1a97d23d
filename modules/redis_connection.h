// SPDX-License-Identifier: Apache-2.0
// One connection to a Redis server, on its loop's thread: commands in a pipeline, or what a
// subscriber is sent.
#pragma once

#include "base/clock.h"
#include "modules/redis_reply.h"
#include "net/client_stream.h"

#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace fanhorn {

// Where a server is, and who we are there.
struct RedisPeer {
    Destination destination;
    std::string user, password; // "": none
    std::string database;       // "": 0
};

class RedisConnection final : private ClientStream::User {
  public:
    // A server that says nothing for so long, although asked, is taken for gone.
    static constexpr Millis kTimeout = 3000;
    // So is one that says something, and owes an answer for so long.
    static constexpr Millis kMaxAge = 10'000;
    // Bytes of commands that have not been sent.
    static constexpr size_t kMaxUnsent = 64 << 20;

    using Answer =
        std::function<void(const RedisReply& reply)>; // an error: it was lost, or refused
    struct Events {
        std::function<void()> on_open;
        // Not behind close(); before whoever waits is answered.
        std::function<void(std::string_view reason)> on_closed;
        std::function<void(const RedisReply& reply)> on_push; // of a subscriber: all there is
    };

    // At most `max_waiting` commands wait for their replies.
    RedisConnection(Loop& loop, const Clock& clock, Events events, size_t max_waiting = 100)
        : clock_(clock), events_(std::move(events)), max_waiting_(max_waiting),
          stream_(loop, *this) {}

    // Anew; on_open or on_closed follows, never inside the call. `peer` outlives it.
    void open(const RedisPeer& peer);
    // Whoever waits for a reply is answered with an error.
    void close();
    bool is_open() const { return stream_.is_open(); }

    // Without `answer`: nobody waits, as when a subscriber asks. False: it has too much to do, and
    // nothing was asked.
    bool ask(std::span<const std::string> words, Answer answer);
    // What has been asked goes out; at the end of a turn.
    void flush();
    // What comes next is kept until resume().
    void pause() { is_paused_ = true; }
    void resume();
    // Some times a second.
    void tick();

  private:
    void on_open() override;
    void on_bytes(std::string_view bytes) override;
    void on_end(ClientStream::End end, const std::string& reason) override;
    void must(std::vector<std::string> words);
    void take_replies();
    void take(const RedisReply& reply);
    void fail(std::string_view reason);

    const Clock& clock_;
    const Events events_;
    const size_t max_waiting_;
    ClientStream stream_;
    const RedisPeer* peer_ = nullptr;
    RedisReader reader_;
    std::string asked_; // and not flushed
    struct Asked {
        Answer answer;
        Millis at;
    };
    std::deque<Asked> waiting_; // for replies
    Millis asked_at_ = 0;       // since then nothing has been heard; 0: nothing was asked
    bool is_paused_ = false;
    uint64_t opened_ = 0; // how often
};

} // namespace fanhorn
