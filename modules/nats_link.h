// SPDX-License-Identifier: Apache-2.0
// One connection to NATS servers and to a stream there. The only file that knows libnats, which has
// threads of its own: calls that wait are for a thread that may.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "modules/nats_url.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct NatsPeer {
    NatsUrl url;
    std::string authorities, certificate, key; // contents of files, in PEM; "": the system's, none
    std::string stream;                        // its name, with which its subjects begin
    std::string client;                        // as the servers list us
};

// A stream as it is.
struct NatsStream {
    uint64_t first = 0, last = 0, bytes = 0;
    bool is_replicated = false; // by several servers
};

// What stands in the stream.
struct NatsRecord {
    uint64_t seq = 0;
    Millis stored_at = 0; // by the server's clock
    std::string bytes;
};

class NatsLink {
  public:
    // An answer that takes longer means that the servers are away.
    static constexpr Millis kAnswersWithin = 3000;
    // So often a silent server is asked whether it is there, and so many questions may be open.
    static constexpr Millis kAsksEvery = 1000;
    static constexpr int kOpenQuestions = 2;

    // What was published and not stored; within next().
    using Refused = std::function<void(uint64_t request, std::string_view reason)>;

    explicit NatsLink(Refused refused);
    ~NatsLink();

    // Waits; once. The error says what to do. `peer` is not used behind the call.
    Result<void> open(const NatsPeer& peer);
    // Any thread: whoever waits ends.
    void close();
    // Of the server that we are connected to: another one whenever it starts.
    std::string server_id() const;
    size_t max_payload() const;

    // Waits. Makes the stream where there is none.
    Result<NatsStream> find_stream();
    // Everything from that seq on, of all subjects or of one; ends what was followed before.
    Result<void> follow(uint64_t from, std::string_view topic = {});
    // Up to `most`, all that are here; waits up to `wait` for the first. An error: it is gone.
    Result<std::vector<NatsRecord>> next(size_t most, Millis wait);

    // Any thread. On subject STREAM.TOPIC; what the server refuses is told.
    Result<void> publish(std::string_view topic, std::string_view bytes, uint64_t request);
    // Waits. False: the stream's last seq is another.
    Result<bool> publish_behind(uint64_t last, std::string_view topic, std::string_view bytes);
    // Waits. Nothing: there is none.
    Result<std::optional<NatsRecord>> record(uint64_t seq);
    Result<std::optional<NatsRecord>> last_of(std::string_view topic);
    // Waits. What lies before that seq goes.
    Result<void> purge(uint64_t seq);

  private:
    struct Handles;
    void take_answers();

    const Refused refused_;
    std::string stream_;
    std::string inbox_;
    std::unique_ptr<Handles> handles_;
};

} // namespace fanhorn
