// SPDX-License-Identifier: Apache-2.0
#include "server/memory_watch.h"

#include "base/log.h"
#include "base/random.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <malloc.h>
#include <sstream>
#include <unistd.h>

namespace fanhorn {

namespace {

// Per cent of the budget, from which on a level is one.
constexpr std::array<uint64_t, 4> kBegins = {0, 80, 90, 95};
constexpr uint64_t kSlack = 3;

uint64_t percent_of(uint64_t whole, uint64_t percent) {
    return whole / 100 * percent + whole % 100 * percent / 100;
}

// A number alone in its file; UINT64_MAX where there is none, as "max".
uint64_t number_in(const std::string& path) {
    std::ifstream file(path);
    std::string text;
    file >> text;
    return parse_u64(text).value_or(UINT64_MAX);
}

// Of a group and all that it lies in.
uint64_t limit_of_groups(const std::string& mount, std::string path,
                         std::initializer_list<const char*> names) {
    uint64_t least = UINT64_MAX;
    for (;;) {
        for (const char* name : names)
            least = std::min(least, number_in(mount + path + "/" + name));
        if (path.empty())
            return least;
        path.resize(path.rfind('/'));
    }
}

// "0::/path" of version 2, "4:memory:/path" of version 1 (cgroups(7)).
uint64_t limit_of_group(const std::string& root, std::string_view line) {
    take_until(line, ':'); // the hierarchy's number
    const auto controllers = split(take_until(line, ':'), ',');
    if (!line.starts_with('/'))
        return UINT64_MAX;
    std::string path(line == "/" ? "" : line);
    if (controllers[0].empty())
        return limit_of_groups(root + "/sys/fs/cgroup", std::move(path),
                               {"memory.max", "memory.high"});
    if (std::find(controllers.begin(), controllers.end(), "memory") == controllers.end())
        return UINT64_MAX;
    return limit_of_groups(root + "/sys/fs/cgroup/memory", std::move(path),
                           {"memory.limit_in_bytes"});
}

uint64_t memory_of_machine(const std::string& root) {
    std::ifstream file(root + "/proc/meminfo");
    std::string name;
    uint64_t kilobytes = 0;
    file >> name >> kilobytes;
    return name == "MemTotal:" ? kilobytes << 10 : UINT64_MAX;
}

} // namespace

std::string_view memory_level_name(MemoryLevel level) {
    static constexpr std::array<std::string_view, 4> kNames = {"normal", "no_subscriptions",
                                                               "fewer_readers", "no_publishes"};
    return kNames[static_cast<size_t>(level)];
}

MemoryLevel next_level(MemoryLevel current, uint64_t used, uint64_t budget) {
    const auto now = static_cast<size_t>(current);
    size_t level = 0;
    for (size_t i = 1; i < kBegins.size(); ++i)
        if (used >= percent_of(budget, kBegins[i] - (i <= now ? kSlack : 0)))
            level = i;
    const bool may_refuse_publishes = current >= MemoryLevel::FewerReaders;
    return std::min(static_cast<MemoryLevel>(level),
                    may_refuse_publishes ? MemoryLevel::NoPublishes : MemoryLevel::FewerReaders);
}

uint64_t available_memory(const std::string& root) {
    uint64_t least = memory_of_machine(root);
    std::ifstream groups(root + "/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);)
        least = std::min(least, limit_of_group(root, line));
    return least;
}

http::Problem memory_problem() {
    constexpr uint32_t kRetryMinS = 5;
    constexpr uint32_t kRetrySpreadS = 26;
    auto problem = http::problem("overloaded", "the server is short of memory");
    problem.retry_s = kRetryMinS + random_below(kRetrySpreadS);
    return problem;
}

MemoryWatch::MemoryWatch() : statm_(open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}

MemoryWatch::~MemoryWatch() {
    if (statm_ >= 0)
        close(statm_);
}

void MemoryWatch::set_budget(uint64_t budget) {
    budget_ = budget <= 100 ? percent_of(available_memory(), budget) : budget;
}

// The second number and the third, which is what of it is a file's (proc(5)).
MemoryWatch::Usage MemoryWatch::measure() const {
    static const auto kPage = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    char text[128] = {};
    if (pread(statm_, text, sizeof text - 1, 0) <= 0)
        return {};
    uint64_t total = 0, resident = 0, shared = 0;
    std::istringstream(text) >> total >> resident >> shared;
    return {resident * kPage, (resident - std::min(resident, shared)) * kPage};
}

void MemoryWatch::tick(Millis now) {
    if (now - measured_ < kEvery)
        return;
    measured_ = now;
    const MemoryLevel before = level();
    uint64_t used = measure().own;
    MemoryLevel level = next_level(before, used, budget());
#ifdef __GLIBC__
    if (level != MemoryLevel::Normal && now - trimmed_ >= kTrimEvery) {
        trimmed_ = now;
        malloc_trim(0);
        used = measure().own;
        level = next_level(before, used, budget());
    }
#endif
    used_ = used;
    level_ = level;
    if (level >= MemoryLevel::FewerReaders)
        ++rounds_;
    if (level != before)
        log_event(level > before ? LogLevel::Warning : LogLevel::Notice, "memory_level",
                  {{"level", memory_level_name(level)}, {"used", used}, {"budget", budget()}});
}

} // namespace fanhorn
