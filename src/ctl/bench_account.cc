// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_account.h"

#include "base/text.h"
#include "ctl/bench_marker.h"
#include "ctl/bench_sockets.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>

namespace fanhorn::ctl::load {

namespace {

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// The number behind the first `key`; 0 where there is none.
uint64_t number_behind(std::string_view text, std::string_view key) {
    const size_t at = text.find(key);
    return at == text.npos ? 0 : std::strtoull(text.data() + at + key.size(), nullptr, 10);
}

Result<uint64_t> cpu_ns_of(int pid) {
    clockid_t clock = 0;
    timespec used{};
    int failed = clock_getcpuclockid(pid, &clock);
    if (!failed && clock_gettime(clock, &used) != 0)
        failed = errno;
    if (failed)
        return Error{fmt::format("process {} cannot be accounted: {}", pid, std::strerror(failed))};
    return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

uint64_t user_bytes_of(int pid) {
    const std::string text = read_file(fmt::format("/proc/{}/smaps_rollup", pid));
    return (number_behind(text, "Pss_Anon:") + number_behind(text, "Pss_Shmem:")) * 1024;
}

} // namespace

Result<Usage> read_usage(std::span<const int> pids, uint16_t port) {
    Usage usage;
    usage.at_ns = now_ns();
    for (const int pid : pids) {
        const auto ns = cpu_ns_of(pid);
        if (!ns)
            return Error{ns.error()};
        usage.cpu_ns += *ns;
        usage.user_bytes += user_bytes_of(pid);
    }
    // "TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 3", in pages.
    const std::string sockets = read_file("/proc/net/sockstat");
    const size_t tcp = std::min(sockets.find("\nTCP:"), sockets.size());
    usage.tcp_bytes = number_behind(std::string_view(sockets).substr(tcp), " mem ") *
                      static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    usage.slab_bytes = number_behind(read_file("/proc/meminfo"), "Slab:") * 1024;
    if (port)
        usage.server_tcp_bytes = buffered_bytes(port);
    return usage;
}

} // namespace fanhorn::ctl::load
