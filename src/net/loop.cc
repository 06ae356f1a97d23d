// SPDX-License-Identifier: Apache-2.0
#include "net/loop.h"

#include <event2/event.h>
#include <event2/event_compat.h>

#include <csignal>
#include <sys/eventfd.h>
#include <unistd.h>

namespace fanhorn {

namespace {

event_base* make_base() {
    event_config* config = event_config_new();
    CHECK(config);
    // IGNORE_ENV: the environment must not change the method.
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
    event_base* base = event_base_new_with_config(config);
    event_config_free(config);
    CHECK(base);
    return base;
}

uint8_t bits_of(short events) {
    uint8_t what = 0;
    if (events & EV_READ)
        what |= Watch::kReadable;
    if (events & EV_WRITE)
        what |= Watch::kWritable;
    if (events & EV_CLOSED)
        what |= Watch::kClosed;
    return what;
}

} // namespace

Loop::Loop() : base_(make_base()) {}

Loop::~Loop() {
    event_base_free(base_);
}

void Loop::turn(Wait wait) {
    const int flags = EVLOOP_ONCE | (wait == Wait::No ? EVLOOP_NONBLOCK : 0);
    CHECK(event_base_loop(base_, flags) >= 0);
}

bool Watch::add(Loop& loop, int fd, short events) {
    CHECK(!is_assigned_);
    const auto call = [](evutil_socket_t, short what, void* self) {
        static_cast<Watch*>(self)->on_ready(bits_of(what));
    };
    CHECK(event_assign(&event_, loop.base(), fd, events, call, this) == 0);
    is_assigned_ = true;
    is_added_ = event_add(&event_, nullptr) == 0;
    return is_added_;
}

bool Watch::watch_edges(Loop& loop, int fd) {
    return add(loop, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST);
}

bool Watch::watch_reading(Loop& loop, int fd) {
    return add(loop, fd, EV_READ | EV_PERSIST);
}

void Watch::pause() {
    if (is_added_)
        event_del(&event_);
    is_added_ = false;
}

void Watch::resume() {
    CHECK(is_assigned_);
    if (!is_added_)
        is_added_ = event_add(&event_, nullptr) == 0;
}

void Watch::unwatch() {
    pause();
    is_assigned_ = false;
}

Ticker::Ticker(Loop& loop, Millis every, std::function<void()> call) : call_(std::move(call)) {
    const auto on_time = [](evutil_socket_t, short, void* self) {
        static_cast<Ticker*>(self)->call_();
    };
    const timeval interval{every / 1000, every % 1000 * 1000};
    CHECK(event_assign(&event_, loop.base(), -1, EV_PERSIST, on_time, this) == 0);
    CHECK(event_add(&event_, &interval) == 0);
}

Ticker::~Ticker() {
    event_del(&event_);
}

Waker::Waker(Loop& loop, std::function<void()> on_wake) : on_wake_(std::move(on_wake)) {
    const int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(descriptor >= 0);
    CHECK(watch_reading(loop, descriptor));
}

Waker::~Waker() {
    const int descriptor = fd();
    unwatch();
    close(descriptor);
}

void Waker::wake() {
    const uint64_t one = 1;
    // Fails only when the counter is full: then it is awake already.
    [[maybe_unused]] const ssize_t written = write(fd(), &one, sizeof one);
}

void Waker::on_ready(uint8_t) {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(fd(), &count, sizeof count);
    on_wake_();
}

struct Signals::One {
    event signal{};
};

Signals::Signals(Loop& loop, std::initializer_list<int> signals, std::function<void(int)> on_signal)
    : on_signal_(std::move(on_signal)), all_(std::make_unique<One[]>(signals.size())),
      count_(signals.size()) {
    const auto call = [](evutil_socket_t number, short, void* self) {
        static_cast<Signals*>(self)->on_signal_(static_cast<int>(number));
    };
    size_t i = 0;
    for (const int number : signals) {
        event& signal = all_[i++].signal;
        CHECK(event_assign(&signal, loop.base(), number, EV_SIGNAL | EV_PERSIST, call, this) == 0);
        CHECK(event_add(&signal, nullptr) == 0);
    }
}

Signals::~Signals() {
    for (size_t i = 0; i < count_; ++i)
        event_del(&all_[i].signal);
}

std::string_view event_library_version() {
    return event_get_version();
}

} // namespace fanhorn
