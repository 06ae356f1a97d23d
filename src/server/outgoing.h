// SPDX-License-Identifier: Apache-2.0
// HTTP requests of ours to one endpoint (RFC 9112), over a few kept-alive connections.
#pragma once

#include "base/clock.h"
#include "http/response_reader.h"
#include "net/client_stream.h"
#include "server/endpoint.h"

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

// On its loop's thread. Whoever asks is answered once. When the endpoint fails several times
// in a row (a status of 500 and more is a failure, too) it is left alone for a while, longer each
// time (1 s to 30 s, jittered), and whoever asks then is told at once; after that one request tries
// it.
class Outgoing {
  public:
    struct Settings {
        Millis timeout = 2000;       // of a request as a whole, its wait included
        size_t requests = 64;        // under way and waiting; beyond: none
        size_t body_size = 64 << 10; // of an answer
        bool is_left_alone = true;   // when it fails; else its owner sees to that
    };
    static constexpr size_t kConnections = 8;
    static constexpr int kFailures = 5; // in a row, until it is left alone
    static constexpr Millis kIdle = 30'000;
    static constexpr Millis kLeastPause = 1000, kMostPause = 30'000;

    struct Response {
        enum class Fault : uint8_t { None, Busy, Down, Unreachable, TimedOut, Untrusted, Broken };
        Fault fault = Fault::None; // else there is neither status nor body
        int status = 0;
        std::string body;
        std::string detail; // of a fault, for the log; may be empty
    };
    using Done = std::function<void(const Response& response)>;

    Outgoing(Loop& loop, const Clock& clock, Endpoint endpoint, Settings settings);
    // Nobody is answered any more.
    ~Outgoing();
    Outgoing(const Outgoing&) = delete;
    Outgoing& operator=(const Outgoing&) = delete;

    const Endpoint& endpoint() const { return endpoint_; }
    // `request` is safe to repeat (RFC 9110 section 9.2.2): it is, when a kept-alive connection
    // turns out to be gone. `done` may be called before this returns.
    void ask(std::string request, Done done);
    // Some times a second.
    void tick();
    // The words for a fault.
    static std::string_view fault_text(Response::Fault fault);

  private:
    class Link;
    struct Job {
        std::string request;
        Done done;
        Millis until = 0;
    };

    bool is_paused() const;
    void start_some();
    void on_done(const Response& response);
    void finish(Job& job, const Response& response);
    void count(bool is_good);

    Loop& loop_;
    const Clock& clock_;
    const Endpoint endpoint_;
    const Settings settings_;
    std::deque<Job> waiting_;
    std::vector<std::unique_ptr<Link>> links_; // never freed before this is: a turn may know them
    size_t busy_ = 0;
    size_t peer_ = 0; // the address that was reached last
    int failures_ = 0;
    Millis paused_until_ = 0;
};

} // namespace fanhorn
