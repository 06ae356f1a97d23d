// SPDX-License-Identifier: Apache-2.0
// One event loop, and readiness of one descriptor: what the house knows of libevent and epoll.
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
//
// Connections are not libevent's: an event and its entry in the map of descriptors are 190 bytes
// and a third of an idle subscriber. They stand in an epoll set of the loop's own, which is one
// event of the base.
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
    friend class EdgeWatch;
    void run_edges();

    event_base* base_;
    event edges_event_{};
    int edges_; // an epoll set
};

// Edges of reading, writing and closing of one descriptor: read and write until EAGAIN. Derive from
// it, so that an idle connection costs no second object: one entry in the set for its whole life,
// no timer. It must outlive the turn in which it is unwatched.
class EdgeWatch {
  public:
    static constexpr uint8_t kReadable = 1;
    static constexpr uint8_t kWritable = 2;
    static constexpr uint8_t kClosed = 4; // the peer shut down (EPOLLRDHUP), or an error did

    virtual ~EdgeWatch() { unwatch(); }
    EdgeWatch(const EdgeWatch&) = delete;
    EdgeWatch& operator=(const EdgeWatch&) = delete;

    // `what` is a set of the bits above.
    virtual void on_ready(uint8_t what) = 0;

    // Takes no ownership of `fd`, which stays open until unwatch().
    [[nodiscard]] bool watch(Loop& loop, int fd);
    void unwatch();

  protected:
    EdgeWatch() = default;

  private:
    friend class Loop;
    int set_ = -1; // watched in that epoll set
    int fd_ = -1;
};

// Something to read, reported as long as it is there.
class Watch {
  public:
    virtual ~Watch() { unwatch(); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    virtual void on_readable() = 0;

    // Takes no ownership of `fd`.
    [[nodiscard]] bool watch(Loop& loop, int fd);
    // Stops and resumes the reports. False where the kernel has no room: to be tried again.
    void pause();
    [[nodiscard]] bool resume();
    void unwatch();
    int fd() const { return event_.ev_fd; }

  protected:
    Watch() { event_.ev_fd = -1; }

  private:
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

// Calls back once, good to a few milliseconds. Costs no descriptor.
class Timer {
  public:
    Timer(Loop& loop, std::function<void()> call);
    ~Timer();
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    // Anew, when it is under way. 0: by the loop all the same, not within this call.
    void start(Millis after);
    void cancel();

  private:
    event event_{};
    std::function<void()> call_;
};

// Calls back once, good to some 50 microseconds: a Ticker is good to a few milliseconds.
class Delay final : public Watch {
  public:
    Delay(Loop& loop, std::function<void()> call);
    ~Delay() override;
    // False where there was no descriptor for it: then it is not to be started.
    bool is_ready() const { return timer_ >= 0; }
    // Anew, when it is under way.
    void start(int64_t micros);
    void cancel() { start(0); }

  private:
    void on_readable() override;
    std::function<void()> call_;
    int timer_ = -1;
};

// Wakes a loop from any thread.
class Waker final : public Watch {
  public:
    // `on_wake` runs on the loop, once for any number of wakes before it.
    Waker(Loop& loop, std::function<void()> on_wake);
    ~Waker() override;
    void wake();

  private:
    void on_readable() override;
    std::function<void()> on_wake_;
};

// Unix signals as events of one loop of the process (the main one). All threads block them.
class Signals final : private Watch {
  public:
    Signals(Loop& loop, std::initializer_list<int> signals, std::function<void(int)> on_signal);
    ~Signals() override;

  private:
    void on_readable() override;
    std::function<void(int)> on_signal_;
};

// The library below, for -V.
std::string_view event_library_version();

} // namespace fanhorn
