// SPDX-License-Identifier: Apache-2.0
#include "net/ring.h"

#include "base/check.h"

#ifdef FANHORN_IO_URING
#include <cerrno>
#include <liburing.h>
#include <sys/socket.h>
#endif

namespace fanhorn {

#ifdef FANHORN_IO_URING

namespace {

// As send_pieces() has it.
ssize_t outcome(int result) {
    if (result >= 0)
        return result;
    return result == -EAGAIN || result == -ENOBUFS || result == -EINTR ? 0 : -1;
}

// Linux 5.1 to 5.5 have rings that know nothing of send: each would be answered with an error.
bool can_send(io_uring& ring) {
    io_uring_probe* probe = io_uring_get_probe_ring(&ring);
    if (!probe)
        return false;
    const bool can = io_uring_opcode_supported(probe, IORING_OP_SEND);
    io_uring_free_probe(probe);
    return can;
}

} // namespace

struct Ring::Kernel {
    io_uring ring{};
    ~Kernel() { io_uring_queue_exit(&ring); }
};

std::unique_ptr<Ring> Ring::make() {
    io_uring ring{};
    if (io_uring_queue_init(kBatch, &ring, 0) != 0)
        return nullptr;
    auto kernel = std::make_unique<Kernel>();
    kernel->ring = ring;
    if (!can_send(kernel->ring))
        return nullptr;
    return std::unique_ptr<Ring>(new Ring(std::move(kernel)));
}

void Ring::add(int fd, iovec piece) {
    CHECK(added_ < kBatch);
    io_uring_sqe* entry = io_uring_get_sqe(&kernel_->ring);
    CHECK(entry);
    // With MSG_DONTWAIT a full socket is an answer; without it the kernel would wait for it.
    io_uring_prep_send(entry, fd, piece.iov_base, piece.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    entry->user_data = added_++;
}

std::span<const ssize_t> Ring::run() {
    const size_t count = added_;
    added_ = 0;
    for (size_t done = 0; done < count;) {
        const int submitted = io_uring_submit_and_wait(&kernel_->ring, 1);
        CHECK(submitted >= 0 || submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY);
        io_uring_cqe* entry = nullptr;
        while (io_uring_peek_cqe(&kernel_->ring, &entry) == 0) {
            results_[entry->user_data] = outcome(entry->res);
            io_uring_cqe_seen(&kernel_->ring, entry);
            ++done;
        }
    }
    return {results_, count};
}

bool Ring::is_built() {
    return true;
}

#else

struct Ring::Kernel {};

bool Ring::is_built() {
    return false;
}

std::unique_ptr<Ring> Ring::make() {
    return nullptr;
}
void Ring::add(int, iovec) {
    CHECK(false);
}
std::span<const ssize_t> Ring::run() {
    return {results_, added_};
}

#endif

Ring::Ring(std::unique_ptr<Kernel> kernel) : kernel_(std::move(kernel)) {}
Ring::~Ring() = default;

} // namespace fanhorn
