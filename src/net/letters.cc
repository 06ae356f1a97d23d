// SPDX-License-Identifier: Apache-2.0
#include "net/letters.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

namespace fanhorn {

namespace {

Error failure(const char* what) {
    return Error{std::string(what) + ": " + std::strerror(errno)};
}

union Control {
    cmsghdr header;
    char bytes[CMSG_SPACE(Letters::kMaxDescriptors * sizeof(int))];
};

void take_descriptors(msghdr& message, std::vector<Descriptor>& into) {
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(each) + i * sizeof fd, sizeof fd);
            into.emplace_back(fd);
        }
    }
}

} // namespace

Letters::Letters(Descriptor socket) : socket_(std::move(socket)) {
    const timeval within = {.tv_sec = kSendsWithin / 1000, .tv_usec = 0};
    setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &within, sizeof within);
}

Result<Letters> Letters::make(Descriptor& of_child) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return failure("socketpair");
    Descriptor ours(ends[0]);
    const Descriptor theirs(ends[1]);
    of_child = Descriptor(dup(theirs.get())); // without the flag that closes it
    if (!of_child)
        return failure("dup");
    return Letters(std::move(ours));
}

Result<void> Letters::send(std::string_view text, std::span<const int> descriptors) {
    CHECK(text.size() <= kMaxBytes && descriptors.size() <= kMaxDescriptors);
    iovec piece = {const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    Control control{};
    if (!descriptors.empty()) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
    }
    while (sendmsg(socket_.get(), &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return failure("sending a letter");
    return {};
}

Result<Letter> Letters::receive(Millis within) {
    pollfd one = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
    int ready = 0;
    while ((ready = poll(&one, 1, static_cast<int>(within))) < 0 && errno == EINTR) {
    }
    if (ready == 0)
        return Error{"no letter came within " + std::to_string(within) + " ms"};
    static thread_local std::string buffer(kMaxBytes, '\0');
    Letter letter;
    iovec piece = {buffer.data(), buffer.size()};
    Control control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control;
    const ssize_t size = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (size < 0)
        return failure("receiving a letter");
    take_descriptors(message, letter.descriptors);
    is_over_ = size == 0;
    if (is_over_)
        return Error{"the other process has gone"};
    if (message.msg_flags & MSG_CTRUNC)
        return Error{"no descriptor left"};
    letter.text.assign(buffer, 0, static_cast<size_t>(size));
    return letter;
}

Result<Descriptor> make_memory_file(std::string_view text) {
    Descriptor file(memfd_create("fanhorn", MFD_CLOEXEC));
    if (!file)
        return failure("memfd_create");
    for (size_t done = 0; done < text.size();) {
        const ssize_t written =
            pwrite(file.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return failure("writing to memory");
        done += static_cast<size_t>(written);
    }
    return file;
}

Result<std::string> read_memory_file(int fd) {
    struct stat status {};
    if (fstat(fd, &status) != 0)
        return failure("fstat");
    std::string text(static_cast<size_t>(status.st_size), '\0');
    for (size_t done = 0; done < text.size();) {
        const ssize_t size =
            pread(fd, text.data() + done, text.size() - done, static_cast<off_t>(done));
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return Error{"reading from memory: it ends too early"};
        done += static_cast<size_t>(size);
    }
    return text;
}

} // namespace fanhorn
