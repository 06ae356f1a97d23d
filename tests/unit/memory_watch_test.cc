// SPDX-License-Identifier: Apache-2.0
#include "server/memory_watch.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "test.h"

using namespace fanhorn;

namespace {

constexpr uint64_t kBudget = 1000;
constexpr uint64_t kMega = 1 << 20;

// A machine with 8 GiB, and what its files say of groups.
class Machine {
  public:
    Machine() {
        char name[] = "/tmp/fanhorn-memory-XXXXXX";
        assert_non_null(mkdtemp(name));
        root_ = name;
        write("/proc/meminfo", "MemTotal:        8388608 kB\nMemFree:         1 kB\n");
    }
    ~Machine() { std::filesystem::remove_all(root_); }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    void write(const std::string& path, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << text;
    }
    uint64_t megabytes() const { return available_memory(root_) / kMega; }

  private:
    std::string root_;
};

// The levels of one measurement after the other.
std::vector<MemoryLevel> levels(const std::vector<uint64_t>& used) {
    std::vector<MemoryLevel> found;
    auto level = MemoryLevel::Normal;
    for (const uint64_t each : used)
        found.push_back(level = next_level(level, each, kBudget));
    return found;
}

} // namespace

static void levels_follow_what_is_used(void**) {
    using enum MemoryLevel;
    assert_true(levels({0, 799}) == std::vector({Normal, Normal}));
    assert_true(levels({800, 899, 900, 950, 1000, 5000}) ==
                std::vector({NoSubscriptions, NoSubscriptions, FewerReaders, NoPublishes,
                             NoPublishes, NoPublishes}));
}

static void readers_go_before_publishes_are_refused(void**) {
    using enum MemoryLevel;
    assert_true(levels({990, 990}) == std::vector({FewerReaders, NoPublishes}));
    assert_true(levels({810, 990, 990}) ==
                std::vector({NoSubscriptions, FewerReaders, NoPublishes}));
}

static void a_level_is_left_later_than_entered(void**) {
    using enum MemoryLevel;
    assert_true(levels({800, 770, 769, 799}) ==
                std::vector({NoSubscriptions, NoSubscriptions, Normal, Normal}));
    assert_true(levels({900, 950, 920, 919, 870, 869, 780, 0}) ==
                std::vector({FewerReaders, NoPublishes, NoPublishes, FewerReaders, FewerReaders,
                             NoSubscriptions, NoSubscriptions, Normal}));
    assert_true(levels({900, 950, 100}) == std::vector({FewerReaders, NoPublishes, Normal}));
}

static void without_a_budget_there_is_no_level(void**) {
    assert_true(next_level(MemoryLevel::Normal, UINT64_MAX / 2, UINT64_MAX) == MemoryLevel::Normal);
}

static void the_machine(void**) {
    const Machine machine;
    assert_int_equal(machine.megabytes(), 8192);
}

static void groups_of_version_2(void**) {
    const Machine machine;
    machine.write("/proc/self/cgroup", "0::/system.slice/fanhorn.service\n");
    assert_int_equal(machine.megabytes(), 8192);
    const std::string slice = "/sys/fs/cgroup/system.slice";
    machine.write(slice + "/fanhorn.service/memory.max", "max\n");
    assert_int_equal(machine.megabytes(), 8192);
    machine.write(slice + "/memory.max", "2147483648\n"); // of what it lies in
    assert_int_equal(machine.megabytes(), 2048);
    machine.write(slice + "/fanhorn.service/memory.max", "1073741824\n");
    assert_int_equal(machine.megabytes(), 1024);
    machine.write(slice + "/fanhorn.service/memory.high", "536870912\n");
    assert_int_equal(machine.megabytes(), 512);
}

static void a_container(void**) {
    const Machine machine;
    machine.write("/proc/self/cgroup", "0::/\n");
    machine.write("/sys/fs/cgroup/memory.max", "268435456\n");
    assert_int_equal(machine.megabytes(), 256);
}

static void groups_of_version_1(void**) {
    const Machine machine;
    machine.write("/proc/self/cgroup",
                  "7:cpu,cpuacct:/a\n4:memory:/docker/x:y\n1:name=systemd:/b\n0::/c\n");
    machine.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(machine.megabytes(), 8192);
    machine.write("/sys/fs/cgroup/memory/docker/x:y/memory.limit_in_bytes", "134217728\n");
    assert_int_equal(machine.megabytes(), 128);
}

static void nothing_that_can_be_read(void**) {
    assert_true(available_memory("/nowhere") == UINT64_MAX);
    const Machine machine;
    machine.write("/proc/self/cgroup", "\n::\nnonsense\n0::relative\n");
    assert_int_equal(machine.megabytes(), 8192);
}

static void measures_itself(void**) {
    MemoryWatch watch;
    assert_true(watch.level() == MemoryLevel::Normal);
    watch.set_budget(1);
    assert_int_equal(watch.budget() / kMega, available_memory() / 100 / kMega);
    watch.set_budget(64 << 10); // less than any process has
    watch.tick(MemoryWatch::kEvery);
    assert_true(watch.level() == MemoryLevel::FewerReaders);
    assert_int_equal(watch.rounds(), 1);
    assert_true(watch.used() > 0 && watch.measure().own <= watch.measure().resident);
    watch.tick(MemoryWatch::kEvery + 1); // not yet
    assert_true(watch.has_room_for_publishes());
    watch.tick(2 * MemoryWatch::kEvery);
    assert_false(watch.has_room_for_publishes());
    assert_false(watch.has_room_for_subscriptions());
    assert_int_equal(watch.rounds(), 2);
    watch.set_budget(UINT64_MAX);
    watch.tick(3 * MemoryWatch::kEvery);
    assert_true(watch.has_room_for_subscriptions());
    assert_int_equal(watch.rounds(), 2);
}

static void who_is_refused_comes_back_at_some_time(void**) {
    bool differ = false;
    const uint32_t first = memory_problem().retry_s;
    for (int i = 0; i < 100; ++i) {
        const auto problem = memory_problem();
        assert_int_equal(problem.status, 503);
        assert_in_range(problem.retry_s, 5, 30);
        differ = differ || problem.retry_s != first;
    }
    assert_true(differ);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(levels_follow_what_is_used),
        cmocka_unit_test(readers_go_before_publishes_are_refused),
        cmocka_unit_test(a_level_is_left_later_than_entered),
        cmocka_unit_test(without_a_budget_there_is_no_level),
        cmocka_unit_test(the_machine),
        cmocka_unit_test(groups_of_version_2),
        cmocka_unit_test(a_container),
        cmocka_unit_test(groups_of_version_1),
        cmocka_unit_test(nothing_that_can_be_read),
        cmocka_unit_test(measures_itself),
        cmocka_unit_test(who_is_refused_comes_back_at_some_time),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
