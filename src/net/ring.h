// SPDX-License-Identifier: Apache-2.0
// Sends to many sockets by one call of the system (io_uring), for less than a send() to each:
// tests/bench/README.md has the figures.
#pragma once

#include <memory>
#include <span>

#include <sys/types.h>
#include <sys/uio.h>

namespace fanhorn {

// One thread's, which makes it.
class Ring {
  public:
    static constexpr size_t kBatch = 128;

    // None where the kernel has no io_uring, or does not let us (sysctl kernel.io_uring_disabled,
    // a seccomp filter), or the build left it out.
    static std::unique_ptr<Ring> make();
    // Whether the build has it.
    static bool is_built();
    ~Ring();
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    // At most kBatch before a run(). The bytes stay until then.
    void add(int fd, iovec piece);
    // Sends all that was added, waiting for no socket. Of each, in that order: the bytes sent, 0
    // for "would block", -1 for a broken connection. Valid until the next add().
    std::span<const ssize_t> run();

  private:
    struct Kernel;
    explicit Ring(std::unique_ptr<Kernel> kernel);

    std::unique_ptr<Kernel> kernel_;
    ssize_t results_[kBatch];
    size_t added_ = 0;
};

} // namespace fanhorn
