// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_account.h"

#include "base/text.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
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
    std::error_code failed;
    const std::string folder = fmt::format("/proc/{}/task", pid);
    uint64_t ns = 0;
    for (std::filesystem::directory_iterator at(folder, failed), end; !failed && at != end;
         at.increment(failed))
        ns += std::strtoull(read_file(at->path() / "schedstat").c_str(), nullptr, 10);
    if (failed)
        return Error{fmt::format("process {} cannot be accounted: {}", pid, failed.message())};
    return ns;
}

uint64_t user_bytes_of(int pid) {
    const std::string text = read_file(fmt::format("/proc/{}/smaps_rollup", pid));
    return (number_behind(text, "Pss_Anon:") + number_behind(text, "Pss_Shmem:")) * 1024;
}

} // namespace

Result<Usage> read_usage(std::span<const int> pids) {
    Usage usage;
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
    return usage;
}

} // namespace fanhorn::ctl::load
