// SPDX-License-Identifier: Apache-2.0
#include "net/handoff.h"

#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/socket.h>

namespace fanhorn {

namespace {

// Room for one descriptor in a message.
union Control {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

} // namespace

Handoff::Handoff() {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    in_ = Descriptor(ends[0]);
    out_ = Descriptor(ends[1]);
}

Result<void> Handoff::send(Descriptor descriptor) {
    char byte = 0;
    iovec piece{&byte, 1};
    Control control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = descriptor.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(in_.get(), &message, MSG_NOSIGNAL) < 0)
        return Error{std::string("passing a descriptor: ") + std::strerror(errno)};
    return {};
}

Descriptor Handoff::receive() {
    char byte = 0;
    iovec piece{&byte, 1};
    Control control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    if (recvmsg(out_.get(), &message, MSG_CMSG_CLOEXEC) < 0)
        return {};
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
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
