// SPDX-License-Identifier: Apache-2.0
#include "server/process.h"

#include "base/clock.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <malloc.h>
#include <new>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace fanhorn {

namespace {

[[maybe_unused]] constexpr int kLargeBytes = 16 << 10;

} // namespace

uint64_t raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

void widen_descriptor_table(uint64_t count) {
    constexpr uint64_t kMost = 1 << 16; // half a MiB of the kernel's
    const int any = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int last = static_cast<int>(std::min(count, kMost)) - 1;
    const int far = any < 0 ? -1 : fcntl(any, F_DUPFD_CLOEXEC, last);
    for (const int fd : {any, far})
        if (fd >= 0)
            close(fd);
}

Result<int> read_pid_file(const std::string& path) {
    std::ifstream file(path);
    int pid = 0;
    if (!file || !(file >> pid) || pid <= 0)
        return Error{"no pid in '" + path + "'"};
    return pid;
}

Result<void> write_pid_file(const std::string& path, int predecessor) {
    if (path.empty())
        return {};
    const auto other = read_pid_file(path);
    if (other && *other != getpid() && *other != predecessor && kill(*other, 0) == 0)
        return Error{"'" + path + "' names process " + std::to_string(*other) +
                     ", which is running"};
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return Error{"cannot write '" + path + "': " + std::strerror(errno)};
    const std::string text = std::to_string(getpid()) + "\n";
    const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    close(fd);
    if (!written)
        return Error{"cannot write '" + path + "'"};
    return {};
}

void remove_pid_file(const std::string& path) {
    if (path.empty())
        return;
    const auto pid = read_pid_file(path);
    if (pid && *pid == getpid())
        unlink(path.c_str());
}

void notify_service_manager(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (!path || (path[0] != '/' && path[0] != '@') || std::strlen(path) >= sizeof address.sun_path)
        return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path, std::strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0'; // the abstract namespace
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    // Nobody to complain to when it fails.
    [[maybe_unused]] const ssize_t sent = sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
                                                 reinterpret_cast<const sockaddr*>(&address), size);
    close(fd);
}

std::string reloading_state() {
    return "RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_micros());
}

std::string stopping_state(int64_t millis) {
    return "STOPPING=1\nEXTEND_TIMEOUT_USEC=" + std::to_string(millis * 1000);
}

int64_t watchdog_interval() {
    const char* micros = std::getenv("WATCHDOG_USEC");
    return micros ? std::atoll(micros) / 2000 : 0;
}

void abort_without_memory() {
    std::set_new_handler([] {
        constexpr std::string_view kWords = "fanhorn: out of memory\n"; // no log: it takes memory
        [[maybe_unused]] const ssize_t said = write(STDERR_FILENO, kWords.data(), kWords.size());
        std::abort();
    });
}

void tune_allocator() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, kLargeBytes); // a fixed one: glibc's own rises up to 32 MiB
#endif
}

uint64_t open_descriptors() {
    struct stat status {}; // since Linux 6.2 it tells their number (proc(5)); 0 before
    if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
        return static_cast<uint64_t>(status.st_size);
    DIR* directory = opendir("/proc/self/fd");
    if (!directory)
        return 0;
    uint64_t count = 0;
    while (const dirent* entry = readdir(directory))
        count += entry->d_name[0] != '.' ? 1 : 0;
    closedir(directory);
    return count - 1; // without our own
}

} // namespace fanhorn
