// SPDX-License-Identifier: Apache-2.0
#include "relay/read_markers.h"

#include <algorithm>
#include <deque>
#include <malloc.h>
#include <map>
#include <utility>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

constexpr size_t kMany = 1000;

// Where it is; -1: there is none.
int64_t at(const ReadMarkers& markers, const char* user, const char* channel) {
    const auto seq = markers.find(user, channel);
    return seq ? static_cast<int64_t>(*seq) : -1;
}

} // namespace

static void test_it_moves_forward_only(void**) {
    ReadMarkers markers;
    const struct {
        const char* name;
        uint64_t seq;
        bool moves;
        uint64_t then;
    } kRows[] = {
        {"the first", 5, true, 5},      {"the same", 5, false, 5},
        {"one behind", 4, false, 5},    {"zero", 0, false, 5},
        {"one ahead", 6, true, 6},      {"far ahead", UINT64_MAX, true, UINT64_MAX},
        {"back", 7, false, UINT64_MAX},
    };
    for (const auto& row : kRows) {
        const ReadMarkers::Moved moved = markers.move("bob", "c", row.seq, {.all = kMany});
        assert_row(row.name, moved.has_moved == row.moves);
        assert_row(row.name, moved.seq == row.then);
        assert_row(row.name, markers.find("bob", "c") == row.then);
        assert_row(row.name, !moved.has_forgotten);
    }
    assert_int_equal(markers.size(), 1);
}

static void test_each_user_and_channel_has_its_own(void**) {
    ReadMarkers markers;
    assert_int_equal(at(markers, "bob", "c"), -1);
    assert_true(
        markers.move("bob", "c", 0, {.all = kMany}).has_moved); // before everything is a place, too
    assert_int_equal(at(markers, "bob", "c"), 0);
    markers.move("bob", "d", 2, {.all = kMany});
    markers.move("alice", "c", 3, {.all = kMany});
    markers.move("bo", "bc", 4, {.all = kMany});
    assert_int_equal(at(markers, "bob", "c"), 0);
    assert_int_equal(at(markers, "bob", "d"), 2);
    assert_int_equal(at(markers, "alice", "c"), 3);
    assert_int_equal(at(markers, "alice", "d"), -1);
    assert_int_equal(at(markers, "b", "obc"), -1);
    assert_int_equal(markers.size(), 4);
}

static void test_the_least_recently_moved_is_forgotten(void**) {
    ReadMarkers markers;
    markers.move("bob", "a", 1, {.all = 3});
    markers.move("bob", "b", 1, {.all = 3});
    markers.move("bob", "c", 1, {.all = 3});
    markers.move("bob", "a", 2, {.all = 3});
    markers.move("bob", "b", 1, {.all = 3}); // does not move
    assert_true(markers.move("bob", "d", 1, {.all = 3}).has_forgotten);
    assert_int_equal(at(markers, "bob", "b"), -1);
    assert_false(markers.move("bob", "d", 2, {.all = 3}).has_forgotten); // is known
    assert_true(markers.move("bob", "e", 1, {.all = 3}).has_forgotten);
    assert_int_equal(at(markers, "bob", "c"), -1);
    assert_int_equal(at(markers, "bob", "a"), 2);
    assert_int_equal(markers.size(), 3);
}

static void test_a_smaller_limit_is_reached_step_by_step(void**) {
    ReadMarkers markers;
    const auto name = [](int i) { return "c" + std::to_string(i); };
    for (int i = 0; i < 10; ++i)
        markers.move("bob", name(i), 1, {.all = 10});
    for (int i = 10; i < 18; ++i)
        assert_true(markers.move("bob", name(i), 1, {.all = 2}).has_forgotten);
    assert_int_equal(markers.size(), 2);
    assert_int_equal(at(markers, "bob", "c16"), 1);
    assert_int_equal(at(markers, "bob", "c17"), 1);
}

static void test_a_user_forgets_his_own(void**) {
    ReadMarkers markers;
    const ReadMarkers::Room room = {.all = 10, .user = 2};
    markers.move("alice", "a", 1, room);
    for (const char* channel : {"a", "b", "a"})
        assert_false(markers.move("bob", channel, 1, room).has_forgotten_own);
    markers.move("bob", "a", 2, room);
    const ReadMarkers::Moved moved = markers.move("bob", "c", 1, room);
    assert_true(moved.has_forgotten_own && !moved.has_forgotten);
    assert_int_equal(at(markers, "bob", "b"), -1);
    assert_int_equal(at(markers, "bob", "a"), 2);
    assert_int_equal(at(markers, "alice", "a"), 1);
    for (int i = 0; i < 100; ++i)
        markers.move("bob", "x" + std::to_string(i), 1, room);
    assert_int_equal(markers.size(), 3);
    assert_int_equal(at(markers, "alice", "a"), 1);
}

// Against a model that keeps them in the order of their last move.
static void test_random(void**) {
    using Name = std::pair<std::string, std::string>;
    ReadMarkers markers;
    std::map<Name, uint64_t> seqs;
    std::deque<Name> by_age;
    uint32_t seed = 11;
    const auto random = [&](uint32_t below) {
        seed = seed * 1664525 + 1013904223;
        return (seed >> 8) % below;
    };
    for (int i = 0; i < 20'000; ++i) {
        const Name name = {"u" + std::to_string(random(5)), "c" + std::to_string(random(6))};
        const uint64_t seq = random(1000);
        const auto known = seqs.find(name);
        const bool moves = known == seqs.end() || known->second < seq;
        const bool forgets = known == seqs.end() && seqs.size() == 20;
        const ReadMarkers::Moved moved = markers.move(name.first, name.second, seq, {.all = 20});
        if (forgets) {
            seqs.erase(by_age.front());
            by_age.pop_front();
        }
        if (moves) {
            std::erase(by_age, name);
            by_age.push_back(name);
            seqs[name] = seq;
        }
        assert_true(moved.has_moved == moves && moved.has_forgotten == forgets);
        assert_true(moved.seq == seqs.at(name));
        assert_int_equal(markers.size(), seqs.size());
    }
    for (const auto& [name, seq] : seqs)
        assert_true(markers.find(name.first, name.second) == seq);
}

static void test_what_one_takes(void**) {
    const auto used = [] {
        const struct mallinfo2 info = mallinfo2();
        return info.uordblks + info.hblkhd;
    };
    const size_t before = used();
    if (before == 0) // the allocator is a sanitizer's
        skip();
    constexpr size_t kCount = 200'000;
    ReadMarkers markers;
    size_t names = 0;
    for (size_t i = 0; i < kCount; ++i) {
        const std::string user = "user-" + std::to_string(i % 1000);
        const std::string channel = "chat:room-" + std::to_string(i);
        names += user.size() + channel.size();
        markers.move(user, channel, i, {});
    }
    const size_t each = (used() - before - names) / kCount;
    print_message("%zu bytes a marker beside its names\n", each);
    assert_in_range(each, 130, 175); // the manual says about 160
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_it_moves_forward_only),
        cmocka_unit_test(test_each_user_and_channel_has_its_own),
        cmocka_unit_test(test_the_least_recently_moved_is_forgotten),
        cmocka_unit_test(test_a_smaller_limit_is_reached_step_by_step),
        cmocka_unit_test(test_a_user_forgets_his_own),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_what_one_takes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
