// SPDX-License-Identifier: Apache-2.0
// Makes calls of the system fail: preloaded into an unmodified daemon, told by the file that
// FANHORN_FAULTS names, which tests/blackbox/faults.py maps too. Without NO_ALLOCATIONS memory is
// among the calls, which sanitizers keep for themselves.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum Call { kRead, kWrite, kAccept, kEpollCtl, kEpollWait, kSocket, kOpen, kAllocate, kCalls };

// One for each call; the layout is that of faults.py.
struct Order {
    atomic_uint calls; // so far
    atomic_uint first; // the number of the one that fails, from 1; 0: none
    atomic_uint every; // and each so many behind it; 0: no other
    atomic_uint error; // errno
    atomic_uint failed;
};

static struct Order nothing[kCalls];
static struct Order* orders = nothing;

__attribute__((constructor)) static void map_orders(void) {
    const char* path = getenv("FANHORN_FAULTS");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void* mapped = mmap(NULL, sizeof nothing, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        orders = mapped;
}

static int fails(enum Call call) {
    struct Order* order = &orders[call];
    const unsigned number = atomic_fetch_add(&order->calls, 1) + 1;
    const unsigned first = atomic_load(&order->first), every = atomic_load(&order->every);
    if (first == 0 || number < first || (number != first && (every == 0 || (number - first) % every)))
        return 0;
    atomic_fetch_add(&order->failed, 1);
    errno = (int)atomic_load(&order->error);
    return 1;
}

// Of an eventfd or a timer no call fails in the kernel.
static int may_fail(int fd) {
    struct stat facts;
    return fstat(fd, &facts) == 0 && (S_ISSOCK(facts.st_mode) || S_ISREG(facts.st_mode));
}

#define NEXT(type, name, parameters)                                                               \
    static type(*next) parameters;                                                                 \
    if (!next)                                                                                     \
        next = (type(*) parameters)dlsym(RTLD_NEXT, name)

ssize_t recv(int fd, void* buffer, size_t size, int flags) {
    NEXT(ssize_t, "recv", (int, void*, size_t, int));
    return fails(kRead) ? -1 : next(fd, buffer, size, flags);
}

ssize_t read(int fd, void* buffer, size_t size) {
    NEXT(ssize_t, "read", (int, void*, size_t));
    return may_fail(fd) && fails(kRead) ? -1 : next(fd, buffer, size);
}

ssize_t send(int fd, const void* buffer, size_t size, int flags) {
    NEXT(ssize_t, "send", (int, const void*, size_t, int));
    return fails(kWrite) ? -1 : next(fd, buffer, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
    NEXT(ssize_t, "sendmsg", (int, const struct msghdr*, int));
    return fails(kWrite) ? -1 : next(fd, message, flags);
}

ssize_t write(int fd, const void* buffer, size_t size) {
    NEXT(ssize_t, "write", (int, const void*, size_t));
    return may_fail(fd) && fails(kWrite) ? -1 : next(fd, buffer, size);
}

ssize_t writev(int fd, const struct iovec* pieces, int count) {
    NEXT(ssize_t, "writev", (int, const struct iovec*, int));
    return may_fail(fd) && fails(kWrite) ? -1 : next(fd, pieces, count);
}

int accept4(int fd, struct sockaddr* address, socklen_t* size, int flags) {
    NEXT(int, "accept4", (int, struct sockaddr*, socklen_t*, int));
    return fails(kAccept) ? -1 : next(fd, address, size, flags);
}

// Taking away cannot fail in the kernel.
int epoll_ctl(int set, int operation, int fd, struct epoll_event* event) {
    NEXT(int, "epoll_ctl", (int, int, int, struct epoll_event*));
    return operation != EPOLL_CTL_DEL && fails(kEpollCtl) ? -1 : next(set, operation, fd, event);
}

int epoll_wait(int set, struct epoll_event* events, int count, int timeout) {
    NEXT(int, "epoll_wait", (int, struct epoll_event*, int, int));
    return fails(kEpollWait) ? -1 : next(set, events, count, timeout);
}

int socket(int family, int type, int protocol) {
    NEXT(int, "socket", (int, int, int));
    return fails(kSocket) ? -1 : next(family, type, protocol);
}

int timerfd_create(int clock, int flags) {
    NEXT(int, "timerfd_create", (int, int));
    return fails(kSocket) ? -1 : next(clock, flags);
}

static int open_as(const char* name, const char* path, int flags, mode_t mode) {
    int (*next)(const char*, int, ...) = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, name);
    return fails(kOpen) ? -1 : next(path, flags, mode);
}

#define OPEN(name)                                                                                 \
    int name(const char* path, int flags, ...) {                                                   \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                            \
        va_end(rest);                                                                              \
        return open_as(#name, path, flags, mode);                                                  \
    }
OPEN(open)
OPEN(open64)

#ifndef NO_ALLOCATIONS

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);

void* malloc(size_t size) {
    return fails(kAllocate) ? NULL : __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
    return fails(kAllocate) ? NULL : __libc_calloc(count, size);
}

void* realloc(void* memory, size_t size) {
    return fails(kAllocate) ? NULL : __libc_realloc(memory, size);
}

#endif
