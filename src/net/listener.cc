// SPDX-License-Identifier: Apache-2.0
#include "net/listener.h"

#include <algorithm>
#include <cerrno>

namespace fanhorn {

Acceptor::Acceptor(Loop& loop, const Clock& clock, Descriptor socket, DescriptorReserve& reserve,
                   Owner owner)
    : clock_(clock), socket_(std::move(socket)), reserve_(reserve), owner_(std::move(owner)),
      rest_(loop, [this] { rest_over(); }) {
    is_open_ = rest_.is_ready() && watch(loop, socket_.get());
}

Acceptor::~Acceptor() {
    stop();
}

void Acceptor::stop() {
    unwatch();
    if (rest_.is_ready())
        rest_.cancel();
    socket_.reset();
    paused_until_ = 0;
}

void Acceptor::on_readable() {
    const int accepted = accept_some();
    const bool is_resting = hold_micros_ > 0 || (is_storm(accepted) && accepted < kAcceptsPerTurn);
    if (!is_resting || !socket_ || paused_until_ != 0)
        return;
    pause();
    rest(std::max(hold_micros_, kRestMicros));
}

// How many; kAcceptsPerTurn when there may be more.
int Acceptor::accept_some() {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
        if (is_held())
            return i;
        const int fd = socket_ ? accept_socket(socket_.get()) : -1;
        if (fd >= 0) {
            owner_.on_accept(fd, false);
            continue;
        }
        if (socket_ && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
            accept_spare();
        return i;
    }
    return kAcceptsPerTurn;
}

// Who waits behind it stays in the kernel's queue.
bool Acceptor::is_held() {
    hold_micros_ = owner_.hold && socket_ ? owner_.hold() : 0;
    return hold_micros_ > 0;
}

void Acceptor::rest(int64_t micros) {
    was_held_ = hold_micros_ > 0;
    rest_.start(std::min(micros, kMaxHoldMicros));
}

bool Acceptor::is_storm(int accepted) {
    const int64_t now = monotonic_micros();
    if (now - counted_from_ > kRestMicros) {
        counted_from_ = now;
        counted_ = 0;
    }
    counted_ += accepted;
    return counted_ >= kStorm;
}

void Acceptor::rest_over() {
    const bool was_held = was_held_;
    const int accepted = accept_some();
    if (was_held && accepted > 0)
        owner_.on_held();
    if (!socket_ || paused_until_ != 0)
        return;
    if (hold_micros_ > 0)
        rest(std::max(hold_micros_, kRestMicros));
    else if (accepted >= kStorm && accepted < kAcceptsPerTurn)
        rest(kRestMicros);
    else
        resume_or_retry();
}

void Acceptor::resume_or_retry() {
    paused_until_ = resume() ? 0 : clock_.now() + kPause;
}

// Where somebody still waits then, accepting rests, or a level-triggered loop would spin.
void Acceptor::accept_spare() {
    owner_.on_exhausted();
    for (int i = 0; i < kSparesPerPause && socket_ && reserve_.lend(); ++i) {
        const int fd = accept_socket(socket_.get());
        const bool is_none_left = fd < 0 && errno == EAGAIN;
        if (fd >= 0)
            owner_.on_accept(fd, true);
        reserve_.refill();
        if (is_none_left)
            return;
    }
    if (!socket_)
        return;
    pause();
    paused_until_ = clock_.now() + kPause;
}

void Acceptor::tick() {
    if (paused_until_ == 0 || clock_.now() < paused_until_)
        return;
    resume_or_retry();
}

} // namespace fanhorn
