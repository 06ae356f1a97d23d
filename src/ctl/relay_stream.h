// SPDX-License-Identifier: Apache-2.0
// Publishes lines through one kept-alive connection to the private listener, and tries again
// whatever may go through later.
#pragma once

#include "ctl/backoff.h"
#include "ctl/tls.h"
#include "http/response_reader.h"

#include <deque>
#include <functional>
#include <memory>
#include <poll.h>
#include <string>
#include <vector>

namespace fanhorn::ctl {

class RelayStream {
  public:
    // Messages and bytes that wait here, sent or not, for their answers.
    static constexpr size_t kMaxMessages = 1024;
    static constexpr size_t kMaxBytes = 16 << 20;

    // Told what became of each line: "" for published, else why it never will be.
    RelayStream(const Endpoint& daemon, std::function<void(const std::string&)> on_answer)
        : daemon_(daemon), on_answer_(std::move(on_answer)) {}

    bool has_room() const { return lines() < kMaxMessages && bytes_ < kMaxBytes; }
    // Not answered for good yet.
    size_t lines() const { return lines_.size() + again_.size(); }
    // Once it is set nothing goes on: the daemon refuses all of it.
    const std::string& failure() const { return failure_; }

    // A line with its end. Asked for room before, a read's worth of lines may be pushed.
    void push(std::string line);
    pollfd watch() const;
    int due_in_ms(Millis now) const;
    void turn(Millis now, bool is_ready);
    // Ends the request, not the connection: the daemon's patience with a line that does not come
    // ends too.
    void rest(Millis now);

  private:
    enum class State : uint8_t { Closed, Idle, Open, Ending };

    void connect(Millis now);
    void fill();
    void flush(Millis now);
    void receive(Millis now);
    void on_bytes(std::string_view bytes, Millis now);
    void on_result(const std::string& text);
    void on_refusal(Millis now);
    void on_end(Millis now);
    void pop();
    void lose(Millis now, const std::string& why, Millis asked_ms = 0);
    void pause(Millis now, const std::string& why, Millis asked_ms);

    const Endpoint& daemon_;
    const std::function<void(const std::string&)> on_answer_;
    State state_ = State::Closed;
    std::unique_ptr<ServerStream> stream_;
    http::ResponseReader response_;
    std::deque<std::string> lines_;
    size_t sent_ = 0;               // of lines_, in this request
    std::deque<std::string> again_; // refused for now; they go first when all else is answered
    std::string why_again_;
    size_t bytes_ = 0;
    std::string out_, results_; // not yet sent, not yet whole
    Backoff backoff_;
    Millis due_ = 0;   // nothing is sent before
    Millis moved_ = 0; // when something was sent or came
    std::string failure_;
};

} // namespace fanhorn::ctl
