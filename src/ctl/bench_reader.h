// SPDX-License-Identifier: Apache-2.0
// A subscriber's side of each transport.
#pragma once

#include "ctl/bench_counters.h"
#include "ctl/bench_frames.h"
#include "ctl/bench_options.h"

#include <memory>
#include <string>
#include <vector>

namespace fanhorn::ctl::load {

// What a poller says with its next request.
struct PollPlace {
    std::string position;       // Fanhorn-Id
    std::string modified, etag; // nchan
    bool has_answered = false;  // this connection did
    bool closes = false;        // this answer is the connection's last
};

// A million of these are held at once.
struct Subscriber {
    enum class State : uint8_t {
        kNew,
        kConnecting,
        kAsked, // no answer's head yet
        kHello, // socket.io: joining
        kOpen,
        kOver,
    };
    enum class Body : uint8_t { kUntilEnd, kLength, kChunked };

    int fd = -1;
    uint32_t channel = 0;
    uint64_t next = 0;    // number that is expected
    uint64_t missing = 0; // numbers below `next` that did not come
    uint64_t left = 0;    // of a frame or a body
    Chunks chunks;
    State state = State::kNew;
    Body body = Body::kUntilEnd;
    bool is_stopped = false;           // never reads once it is open
    bool is_connected = false;         // and counted so; stays
    bool is_awaited = false;           // its messages are among the expected ones
    std::unique_ptr<std::string> tail; // what was read and is not whole
    std::unique_ptr<PollPlace> place;  // of a poller
};

// Of one process: reads into one buffer for all.
class Reader {
  public:
    Reader(const Plan& plan, Tally& tally);

    enum class Verdict {
        kGoesOn,
        kReconnect, // a poller whose answer was its connection's last
        kBroken,
    };
    // Sends the request of a subscriber that is connected.
    Verdict ask(Subscriber& subscriber);
    // Reads what there is; up to the peer's end when `to_the_end`.
    Verdict read(Subscriber& subscriber, bool to_the_end);

  private:
    struct Handler;

    bool is_websocket() const;
    const std::string& request(const Subscriber& subscriber);
    void append_place(const PollPlace& place);
    void mark_connected(Subscriber& subscriber);
    Verdict take(Subscriber& subscriber, size_t kept, size_t size);
    bool take_head(Subscriber& subscriber, const Head& head, std::string_view text);
    bool opens(int status) const;
    void remember_place(Subscriber& subscriber, const Head& head, std::string_view text);
    Verdict take_frames(Subscriber& subscriber, std::string_view bytes);
    // The first `raw` bytes are body already.
    Verdict take_body(Subscriber& subscriber, char* bytes, size_t raw, size_t size);
    size_t take_coding(Subscriber& subscriber, char* bytes, size_t size);
    Verdict on_answered(Subscriber& subscriber);
    Verdict on_end(Subscriber& subscriber);
    void count(Subscriber& subscriber, const Marker& marker);
    Verdict broken(std::string_view why);

    const Plan& plan_;
    Tally& tally_;
    uint64_t now_ns_ = 0; // of the last read
    std::string request_;
    std::vector<char> buffer_;
};

} // namespace fanhorn::ctl::load
