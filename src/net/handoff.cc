// SPDX-License-Identifier: Apache-2.0
#include "net/handoff.h"

#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/socket.h>

namespace fanhorn {

namespace {

// A message of one byte with room for one descriptor.
struct Letter {
    Letter() {
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
    }

    char byte = 0;
    iovec piece{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
};

} // namespace

Handoff::Handoff() {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    in_ = Descriptor(ends[0]);
    out_ = Descriptor(ends[1]);
}

Result<void> Handoff::send(Descriptor descriptor) {
    Letter letter;
    cmsghdr* header = CMSG_FIRSTHDR(&letter.message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = descriptor.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(in_.get(), &letter.message, MSG_NOSIGNAL) < 0)
        return Error{std::string("passing a descriptor: ") + std::strerror(errno)};
    return {};
}

Descriptor Handoff::receive() {
    Letter letter;
    if (recvmsg(out_.get(), &letter.message, MSG_CMSG_CLOEXEC) < 0)
        return {};
    const cmsghdr* header = CMSG_FIRSTHDR(&letter.message);
    if (!header || header->cmsg_type != SCM_RIGHTS)
        return {};
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return Descriptor(fd);
}

Result<void> own_descriptor_table() {
    if (unshare(CLONE_FILES) != 0)
        return Error{std::string("unshare(CLONE_FILES): ") + std::strerror(errno)};
    return {};
}

} // namespace fanhorn
