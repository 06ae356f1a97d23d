// SPDX-License-Identifier: Apache-2.0
// One event loop, and readiness of one descriptor: what the house knows of libevent.
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <event2/event_struct.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

struct event_base;

namespace fanhorn {

// A base without locks: one thread makes, runs and destroys it. Nothing on it may block.
class Loop {
  public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    enum class Wait : uint8_t { ForEvents, No };
    // One turn: waits (or not) for events and runs their callbacks.
    void turn(Wait wait);
    event_base* base() const { return base_; }

  private:
    event_base* base_;
};

// The readiness of one descriptor. Derive from it, so that an idle connection costs no second
// object: one event for its whole life, no timer.
class Watch {
  public:
    static constexpr uint8_t kReadable = 1;
    static constexpr uint8_t kWritable = 2;
    static constexpr uint8_t kClosed = 4; // the peer shut down (EPOLLRDHUP)

    virtual ~Watch() { unwatch(); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // `what` is a set of the bits above.
    virtual void on_ready(uint8_t what) = 0;

    // Reports edges of reading, writing and closing: read and write until EAGAIN. Takes no
    // ownership of `fd`.
    [[nodiscard]] bool watch_edges(Loop& loop, int fd);
    // Reports that there is something to read, as long as there is.
    [[nodiscard]] bool watch_reading(Loop& loop, int fd);
    // Level-triggered watches only: stops and resumes the reports.
    void pause();
    void resume();
    void unwatch();
    int fd() const { return event_.ev_fd; }

  protected:
    Watch() { event_.ev_fd = -1; }

  private:
    bool add(Loop& loop, int fd, short events);

    event event_{};
    bool is_assigned_ = false;
    bool is_added_ = false;
};

// Calls back again and again.
class Ticker {
  public:
    // The first call comes after `every`.
    Ticker(Loop& loop, Millis every, std::function<void()> call);
    ~Ticker();

  private:
    event event_{};
    std::function<void()> call_;
};

// Wakes a loop from any thread.
class Waker final : public Watch {
  public:
    // `on_wake` runs on the loop, once for any number of wakes before it.
    Waker(Loop& loop, std::function<void()> on_wake);
    ~Waker() override;
    void wake();

  private:
    void on_ready(uint8_t what) override;
    std::function<void()> on_wake_;
};

// Unix signals as events of one loop of the process (the main one).
class Signals {
  public:
    Signals(Loop& loop, std::initializer_list<int> signals, std::function<void(int)> on_signal);
    ~Signals();

  private:
    struct One;
    std::function<void(int)> on_signal_;
    std::unique_ptr<One[]> all_;
    size_t count_;
};

// The library below, for -V.
std::string_view event_library_version();

} // namespace fanhorn
