// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_publisher.h"

#include <algorithm>
#include <ctime>
#include <sys/prctl.h>

namespace fanhorn::ctl::load {

namespace {

// Between two looks at how far the subscribers are, while the window is shut.
constexpr uint64_t kLookNs = 100'000;
constexpr uint64_t kAnswerNs = 100'000'000;

uint64_t process_cpu_ns() {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

} // namespace

Publisher::Publisher(const Plan& plan, const Shared& shared)
    : plan_(plan), shared_(shared), limit_(plan.messages) {
    lanes_.reserve(plan.publishers);
    for (uint64_t i = 0; i < plan.publishers; ++i)
        lanes_.emplace_back(plan, i);
    polled_.resize(lanes_.size());
    prctl(PR_SET_TIMERSLACK, 1UL); // or each sleep is 50 us longer
}

// Fewer than `window` messages ahead of the mean subscriber: what is outstanding, divided by the
// mean number of readers of a channel.
bool Publisher::is_window_open() const {
    if (plan_.rate)
        return true;
    const uint64_t settled = delivered_ + forgiven_;
    const uint64_t outstanding = fanned_ > settled ? fanned_ - settled : 0;
    return outstanding == 0 ||
           static_cast<double>(outstanding) * static_cast<double>(plan_.channels) <
               static_cast<double>(plan_.window * plan_.readers());
}

uint64_t Publisher::due_in_ns(uint64_t message) const {
    if (!plan_.rate)
        return 0;
    const double at_s = static_cast<double>(message) / static_cast<double>(plan_.rate);
    const uint64_t at_ns = began_ns_ + static_cast<uint64_t>(at_s * 1e9);
    const uint64_t now = now_ns();
    return at_ns > now ? at_ns - now : 0;
}

// Where the lane that came farthest stands: the others follow, so that no place before is left out.
void Publisher::cut() {
    uint64_t farthest = 0;
    for (const Lane& lane : lanes_)
        farthest = std::max(farthest, lane.next());
    limit_ = std::min(limit_, farthest);
}

void Publisher::look_at_the_clock() {
    if (plan_.seconds && now_ns() - began_ns_ >= plan_.seconds * 1'000'000'000)
        cut();
}

void Publisher::fill(Lane& lane) {
    while (lane.next() < limit_ && lane.has_room() && is_window_open() &&
           due_in_ns(lane.next()) == 0) {
        fanned_ += plan_.readers_of(lane.next_channel());
        lane.append();
    }
}

bool Publisher::turn() {
    delivered_ = shared_.sum(&Tally::deliveries);
    look_at_the_clock();
    bool is_done = true;
    for (size_t i = 0; i < lanes_.size(); ++i) {
        fill(lanes_[i]);
        if (!lanes_[i].turn(polled_[i].revents != 0))
            return false;
        is_done &= lanes_[i].is_done(limit_);
    }
    return !is_done && has_moved();
}

// A subscriber that was lost would keep the window shut: what it owes is forgiven in time.
bool Publisher::has_moved() {
    const uint64_t now = now_ns();
    uint64_t accepted = delivered_;
    bool is_answered = true;
    for (const Lane& lane : lanes_) {
        accepted += lane.accepted() + lane.refused();
        is_answered &= lane.in_flight() == 0;
    }
    if (accepted != accepted_ || !moved_ns_) {
        accepted_ = accepted;
        moved_ns_ = now;
    }
    const uint64_t still_ns = now - moved_ns_;
    if (is_answered && !is_window_open() && still_ns > 1'000'000'000)
        forgiven_ = fanned_ - std::min(fanned_, delivered_);
    // A rate below one a patience is no standstill.
    const uint64_t patience_ns = plan_.patience_s * 1'000'000'000;
    return still_ns < patience_ns + (plan_.rate ? 1'000'000'000 / plan_.rate : 0);
}

// How long there is nothing to make for this lane.
uint64_t Publisher::idle_ns(const Lane& lane) const {
    if (lane.next() >= limit_ || !lane.has_room())
        return kAnswerNs;
    return is_window_open() ? due_in_ns(lane.next()) : kLookNs;
}

void Publisher::wait() {
    uint64_t sleep_ns = kAnswerNs;
    for (size_t i = 0; i < lanes_.size(); ++i) {
        const Lane& lane = lanes_[i];
        sleep_ns = std::min(sleep_ns, idle_ns(lane));
        polled_[i].fd = lane.fd();
        polled_[i].events = static_cast<short>((lane.in_flight() ? POLLIN : 0) |
                                               (lane.wants_write() ? POLLOUT : 0));
    }
    const timespec sleep{0, static_cast<long>(sleep_ns)};
    ppoll(polled_.data(), polled_.size(), &sleep, nullptr);
}

Published Publisher::run() {
    Published published;
    const uint64_t cpu_ns = process_cpu_ns();
    began_ns_ = published.began_ns = now_ns();
    while (turn())
        wait();
    published.ended_ns = now_ns();
    if (plan_.seconds) // which a failure may have kept from coming
        cut();
    published.messages = limit_;
    published.cpu_ns = process_cpu_ns() - cpu_ns;
    for (const Lane& lane : lanes_) {
        published.accepted += lane.accepted();
        published.refused += lane.refused();
        if (published.trouble.empty())
            published.trouble = lane.trouble();
    }
    return published;
}

} // namespace fanhorn::ctl::load
