// SPDX-License-Identifier: Apache-2.0
#include "net/loop.h"

#include <event2/event.h>
#include <event2/event_compat.h>

#include <csignal>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace fanhorn {

namespace {

constexpr int kEdgesPerTurn = 512;

event_base* make_base() {
    event_config* config = event_config_new();
    CHECK(config);
    // IGNORE_ENV: the environment must not change the method.
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    event_config_require_features(config, EV_FEATURE_O1);
    event_base* base = event_base_new_with_config(config);
    event_config_free(config);
    CHECK(base);
    return base;
}

// An error wakes both sides, whose next call meets it. It is an end as well: bytes that came before
// it are read first, and it has no edge of its own behind them.
uint8_t bits_of(uint32_t events) {
    if ((events & EPOLLERR) || ((events & EPOLLHUP) && !(events & EPOLLRDHUP)))
        return EdgeWatch::kReadable | EdgeWatch::kWritable | EdgeWatch::kClosed;
    uint8_t what = 0;
    if (events & EPOLLIN)
        what |= EdgeWatch::kReadable;
    if (events & EPOLLOUT)
        what |= EdgeWatch::kWritable;
    if (events & EPOLLRDHUP)
        what |= EdgeWatch::kClosed;
    return what;
}

} // namespace

Loop::Loop() : base_(make_base()), edges_(epoll_create1(EPOLL_CLOEXEC)) {
    CHECK(edges_ >= 0);
    const auto call = [](evutil_socket_t, short, void* self) {
        static_cast<Loop*>(self)->run_edges();
    };
    CHECK(event_assign(&edges_event_, base_, edges_, EV_READ | EV_PERSIST, call, this) == 0);
    CHECK(event_add(&edges_event_, nullptr) == 0);
}

Loop::~Loop() {
    event_del(&edges_event_);
    event_base_free(base_);
    close(edges_);
}

void Loop::turn(Wait wait) {
    const int flags = EVLOOP_ONCE | (wait == Wait::No ? EVLOOP_NONBLOCK : 0);
    CHECK(event_base_loop(base_, flags) >= 0);
}

// What is left over makes the set readable in the next turn.
void Loop::run_edges() {
    epoll_event events[kEdgesPerTurn];
    const int count = epoll_wait(edges_, events, kEdgesPerTurn, 0);
    for (int i = 0; i < count; ++i) {
        auto* watch = static_cast<EdgeWatch*>(events[i].data.ptr);
        if (watch->set_ >= 0) // not unwatched by one before it
            watch->on_ready(bits_of(events[i].events));
    }
}

bool EdgeWatch::watch(Loop& loop, int fd) {
    CHECK(set_ < 0);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = this;
    if (epoll_ctl(loop.edges_, EPOLL_CTL_ADD, fd, &event) != 0)
        return false;
    set_ = loop.edges_;
    fd_ = fd;
    return true;
}

void EdgeWatch::unwatch() {
    if (set_ >= 0)
        epoll_ctl(set_, EPOLL_CTL_DEL, fd_, nullptr);
    set_ = -1;
}

bool Watch::watch(Loop& loop, int fd) {
    CHECK(!is_assigned_);
    const auto call = [](evutil_socket_t, short, void* self) {
        static_cast<Watch*>(self)->on_readable();
    };
    CHECK(event_assign(&event_, loop.base(), fd, EV_READ | EV_PERSIST, call, this) == 0);
    is_assigned_ = true;
    is_added_ = event_add(&event_, nullptr) == 0;
    return is_added_;
}

void Watch::pause() {
    if (is_added_)
        event_del(&event_);
    is_added_ = false;
}

bool Watch::resume() {
    CHECK(is_assigned_);
    if (!is_added_)
        is_added_ = event_add(&event_, nullptr) == 0;
    return is_added_;
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

Timer::Timer(Loop& loop, std::function<void()> call) : call_(std::move(call)) {
    const auto on_time = [](evutil_socket_t, short, void* self) {
        static_cast<Timer*>(self)->call_();
    };
    CHECK(event_assign(&event_, loop.base(), -1, 0, on_time, this) == 0);
}

Timer::~Timer() {
    cancel();
}

void Timer::start(Millis after) {
    const timeval delay{after / 1000, after % 1000 * 1000};
    CHECK(event_add(&event_, &delay) == 0);
}

void Timer::cancel() {
    event_del(&event_);
}

Delay::Delay(Loop& loop, std::function<void()> call) : call_(std::move(call)) {
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer_ < 0 || watch(loop, timer_))
        return;
    unwatch();
    close(timer_);
    timer_ = -1;
}

Delay::~Delay() {
    unwatch();
    if (timer_ >= 0)
        close(timer_);
}

void Delay::start(int64_t micros) {
    itimerspec once{};
    once.it_value = {micros / 1'000'000, micros % 1'000'000 * 1000};
    CHECK(timerfd_settime(timer_, 0, &once, nullptr) == 0);
}

void Delay::on_readable() {
    uint64_t count = 0;
    if (read(timer_, &count, sizeof count) > 0) // not cancelled since
        call_();
}

Waker::Waker(Loop& loop, std::function<void()> on_wake) : on_wake_(std::move(on_wake)) {
    const int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(descriptor >= 0);
    CHECK(watch(loop, descriptor));
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

void Waker::on_readable() {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(fd(), &count, sizeof count);
    on_wake_();
}

Signals::Signals(Loop& loop, std::initializer_list<int> signals, std::function<void(int)> on_signal)
    : on_signal_(std::move(on_signal)) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals)
        sigaddset(&set, signal);
    const int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0 && watch(loop, fd));
}

Signals::~Signals() {
    const int fd = this->fd();
    unwatch();
    close(fd);
}

void Signals::on_readable() {
    signalfd_siginfo info{};
    while (read(fd(), &info, sizeof info) == sizeof info)
        on_signal_(static_cast<int>(info.ssi_signo));
}

std::string_view event_library_version() {
    return event_get_version();
}

} // namespace fanhorn
