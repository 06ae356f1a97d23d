// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_subscribers.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fanhorn::ctl::load {

namespace {

constexpr int kTurnMs = 50; // between looks at the phase where nothing comes
constexpr int kEvents = 256;
constexpr useconds_t kDrainUs = 20'000; // in which more comes, if there is more

uint64_t process_cpu_ns() {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

// 127.0.0.2 and so on. The port is chosen at connect(), when the peer is known too.
bool bind_source(int fd, uint64_t number) {
    const int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + static_cast<uint32_t>(number));
    return bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) == 0;
}

} // namespace

Subscribers::Subscribers(const Plan& plan, Shared& shared, unsigned process)
    : plan_(plan), shared_(shared), process_(process), tally_(shared.tallies[process]),
      reader_(plan, tally_), epoll_(epoll_create1(EPOLL_CLOEXEC)), began_ns_(now_ns()) {
    subscribers_.resize((plan.subscribers + plan.processes - 1 - process) / plan.processes);
    for (size_t i = 0; i < subscribers_.size(); ++i) {
        Subscriber& subscriber = subscribers_[i];
        subscriber.channel = static_cast<uint32_t>(index_of(i) % plan.channels);
        subscriber.is_stopped = index_of(i) >= plan.readers();
        if (plan.transport == Transport::kLongPoll)
            subscriber.place = std::make_unique<PollPlace>();
    }
}

void Subscribers::run() {
    epoll_event events[kEvents];
    Phase seen = Phase::kConnect;
    while (seen != Phase::kFinish) {
        if (seen == Phase::kConnect)
            connect_more();
        const int count = epoll_wait(epoll_.fd(), events, kEvents, patience_ms());
        for (int i = 0; i < count; ++i)
            on_event(events[i].data.u64, events[i].events);
        const Phase phase = shared_.phase.load(std::memory_order_acquire);
        if (phase != seen)
            enter(phase);
        seen = phase;
    }
    finish();
}

bool Subscribers::may_connect() const {
    if (started_ == subscribers_.size() || started_ - settled() >= plan_.ahead)
        return false;
    if (!plan_.connect_rate)
        return true;
    const double passed_s = static_cast<double>(now_ns() - began_ns_) / 1e9;
    const auto due = static_cast<uint64_t>(passed_s * static_cast<double>(plan_.connect_rate));
    return index_of(started_) <= due;
}

int Subscribers::patience_ms() const {
    const bool is_paced = plan_.connect_rate && started_ < subscribers_.size();
    return is_paced ? 1 : kTurnMs;
}

// A bounded number, so that what answers is looked at in between.
void Subscribers::connect_more() {
    for (int i = 0; i < kEvents && may_connect(); ++i)
        connect_one(started_++);
}

void Subscribers::connect_one(size_t i) {
    Subscriber& subscriber = subscribers_[i];
    subscriber.state = Subscriber::State::kConnecting;
    if (!open_socket(subscriber, i)) {
        if (!tally_.trouble[0])
            std::strncpy(tally_.trouble, std::strerror(errno), sizeof tally_.trouble - 1);
        return give_up(subscriber);
    }
    // On loopback the connection is made by now, and no event need be waited for.
    obey(i, reader_.ask(subscriber));
}

bool Subscribers::open_socket(Subscriber& subscriber, size_t i) {
    const Target& target = plan_.subscribe;
    subscriber.fd = socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (subscriber.fd < 0)
        return false;
    if (plan_.sources && !bind_source(subscriber.fd, index_of(i) % plan_.sources))
        return false;
    const auto* address = reinterpret_cast<const sockaddr*>(&target.address);
    if (connect(subscriber.fd, address, target.address_size) != 0 && errno != EINPROGRESS)
        return false;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u64 = i;
    return epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, subscriber.fd, &event) == 0;
}

void Subscribers::on_event(size_t i, uint32_t events) {
    Subscriber& subscriber = subscribers_[i];
    if (subscriber.state == Subscriber::State::kOver)
        return;
    if (subscriber.state == Subscriber::State::kConnecting && events & EPOLLOUT)
        obey(i, reader_.ask(subscriber));
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) && subscriber.fd >= 0)
        obey(i, reader_.read(subscriber, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)));
}

void Subscribers::obey(size_t i, Reader::Verdict verdict) {
    Subscriber& subscriber = subscribers_[i];
    switch (verdict) {
    case Reader::Verdict::kGoesOn:
        if (subscriber.is_stopped && subscriber.is_connected)
            stop_reading(subscriber);
        return;
    case Reader::Verdict::kReconnect:
        close(std::exchange(subscriber.fd, -1));
        subscriber.place->has_answered = false;
        subscriber.tail.reset();
        return connect_one(i);
    case Reader::Verdict::kBroken:
        return give_up(subscriber);
    }
}

void Subscribers::stop_reading(Subscriber& subscriber) {
    epoll_ctl(epoll_.fd(), EPOLL_CTL_DEL, subscriber.fd, nullptr);
}

void Subscribers::give_up(Subscriber& subscriber) {
    if (subscriber.fd >= 0)
        close(std::exchange(subscriber.fd, -1));
    if (subscriber.state == Subscriber::State::kOver)
        return;
    subscriber.state = Subscriber::State::kOver;
    (subscriber.is_connected ? tally_.closed : tally_.failed).add(1);
}

void Subscribers::enter(Phase phase) {
    if (phase == Phase::kRun)
        begin_run();
    if (phase == Phase::kDrain)
        count_expected();
    tally_.phase.set(static_cast<uint64_t>(phase));
}

void Subscribers::begin_run() {
    for (Subscriber& subscriber : subscribers_) {
        if (!subscriber.is_connected)
            give_up(subscriber);
        subscriber.is_awaited =
            subscriber.state != Subscriber::State::kOver && !subscriber.is_stopped;
    }
    tally_.reads.set(0);
    tally_.cpu_before_ns.set(process_cpu_ns());
}

void Subscribers::count_expected() {
    uint64_t expected = 0;
    for (const Subscriber& subscriber : subscribers_)
        if (subscriber.is_awaited)
            expected += plan_.share(shared_.messages, subscriber.channel);
    tally_.expected.set(expected);
}

// Reset, or each would hold its port in TIME-WAIT for the next run to stumble over.
void Subscribers::close_all() {
    constexpr linger kReset = {1, 0};
    for (const Subscriber& subscriber : subscribers_) {
        if (subscriber.fd < 0)
            continue;
        setsockopt(subscriber.fd, SOL_SOCKET, SO_LINGER, &kReset, sizeof kReset);
        close(subscriber.fd);
    }
}

// Reads away what waits. False when nothing did.
bool Subscribers::drain(Subscriber& subscriber) {
    char bytes[64 << 10];
    bool has_read = false;
    ssize_t size;
    while ((size = recv(subscriber.fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        has_read = true;
    if (size == 0 || errno != EAGAIN)
        give_up(subscriber);
    return has_read;
}

// The server's end of a connection that nobody read stands behind all that was not read.
void Subscribers::find_closed() {
    for (bool moves = plan_.stopped > 0; moves;) {
        usleep(kDrainUs);
        moves = false;
        for (Subscriber& subscriber : subscribers_)
            if (subscriber.is_stopped && subscriber.fd >= 0)
                moves |= drain(subscriber);
    }
}

void Subscribers::finish() {
    tally_.cpu_after_ns.set(process_cpu_ns());
    find_closed();
    uint64_t lost = 0;
    for (const Subscriber& subscriber : subscribers_) {
        const uint64_t all = plan_.share(shared_.messages, subscriber.channel);
        if (subscriber.is_awaited)
            lost += all - std::min(subscriber.next, all) + subscriber.missing;
    }
    tally_.lost.set(lost);
    close_all();
}

} // namespace fanhorn::ctl::load
