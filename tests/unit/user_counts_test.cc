// SPDX-License-Identifier: Apache-2.0
#include "server/users.h"

#include <string>
#include <thread>
#include <vector>

#include "test.h"

using namespace fanhorn;

static void counts_each_user(void**) {
    UserCounts counts;
    assert_int_equal(counts.of("alice").connections, 0);
    counts.add("alice", 1);
    counts.add("alice", 1);
    counts.add("bob", 1);
    assert_int_equal(counts.of("alice").connections, 2);
    assert_int_equal(counts.of("bob").connections, 1);
    assert_int_equal(counts.size(), 2);
    counts.remove("alice", 1);
    assert_int_equal(counts.of("alice").connections, 1);
}

static void who_has_gone_leaves_nothing(void**) {
    UserCounts counts;
    for (int i = 0; i < 1000; ++i)
        counts.add("user" + std::to_string(i), 3);
    assert_int_equal(counts.size(), 1000);
    for (int i = 0; i < 1000; ++i)
        counts.remove("user" + std::to_string(i), 3);
    assert_int_equal(counts.size(), 0);
}

static void a_worker_sees_those_of_all(void**) {
    UserCounts counts;
    const Users one(counts), other(counts);
    counts.add("alice", 1);
    counts.add("alice", 1);
    for (const Users* users : {&one, &other}) {
        assert_true(users->is_full("alice", 2));
        assert_false(users->is_full("alice", 3));
        assert_false(users->is_full("alice", 0)); // no limit
        assert_false(users->is_full("bob", 1));
        assert_false(users->is_full("", 1)); // nobody in particular
    }
}

static void counts_their_channels(void**) {
    UserCounts counts;
    const Users users(counts);
    counts.add("alice", 3);
    counts.add("alice", 4);
    counts.add("bob", 100);
    assert_int_equal(counts.of("alice").channels, 7);
    assert_true(users.has_room_for("alice", 3, 10));
    assert_false(users.has_room_for("alice", 4, 10));
    assert_true(users.has_room_for("alice", 4, 0)); // no limit
    assert_true(users.has_room_for("", 11, 10));    // nobody in particular
    assert_false(users.has_room_for("carol", 11, 10));
    counts.change("alice", 3, 6);
    assert_int_equal(counts.of("alice").channels, 10);
    counts.change("alice", 6, 0);
    counts.remove("alice", 4);
    assert_int_equal(counts.of("alice").connections, 1);
    assert_int_equal(counts.of("alice").channels, 0);
}

static void workers_share_it(void**) {
    UserCounts counts;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int round = 0; round < 20'000; ++round) {
                counts.add("alice", 1);
                counts.remove("alice", 1);
            }
            counts.add("alice", 1);
        });
    for (std::thread& thread : threads)
        thread.join();
    assert_int_equal(counts.of("alice").connections, 4);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(counts_each_user),           cmocka_unit_test(who_has_gone_leaves_nothing),
        cmocka_unit_test(a_worker_sees_those_of_all), cmocka_unit_test(counts_their_channels),
        cmocka_unit_test(workers_share_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
