// SPDX-License-Identifier: Apache-2.0
#include "net/listener.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace fanhorn {

namespace {
int open_reserve() {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}
} // namespace

Acceptor::Acceptor(Loop& loop, const Clock& clock, Descriptor socket,
                   std::function<void(int)> on_accept, std::function<void()> on_exhausted)
    : clock_(clock), socket_(std::move(socket)), reserve_(open_reserve()),
      on_accept_(std::move(on_accept)), on_exhausted_(std::move(on_exhausted)) {
    CHECK(watch(loop, socket_.get()));
}

Acceptor::~Acceptor() {
    stop();
}

void Acceptor::stop() {
    unwatch();
    socket_.reset();
    paused_until_ = 0;
}

void Acceptor::on_readable() {
    for (int i = 0; i < kAcceptsPerTurn && socket_; ++i) {
        const int fd = accept_socket(socket_.get());
        if (fd >= 0) {
            on_accept_(fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            refuse_one();
        return;
    }
}

// The reserve lets one waiting client hear a close instead of hanging; then accepting rests, or a
// level-triggered loop would spin.
void Acceptor::refuse_one() {
    reserve_.reset();
    Descriptor refused(accept_socket(socket_.get()));
    refused.reset();
    reserve_ = Descriptor(open_reserve());
    pause();
    paused_until_ = clock_.now() + kPause;
    on_exhausted_();
}

void Acceptor::tick() {
    if (paused_until_ == 0 || clock_.now() < paused_until_)
        return;
    paused_until_ = 0;
    resume();
}

} // namespace fanhorn
