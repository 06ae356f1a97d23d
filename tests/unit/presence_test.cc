// SPDX-License-Identifier: Apache-2.0
// Who is on which channel, with the clock turned by hand.
#include "relay/presence.h"

#include <map>
#include <set>

#include "tests/unit/test.h"

using namespace fanhorn;
using Entry = PresenceBook::Entry;

namespace {

std::string names(const PresenceBook& book, std::string_view channel) {
    std::string names;
    for (const Attendee& each : book.users(channel))
        names += each.user + std::to_string(each.connections) + " ";
    return names;
}

void test_connections_of_one_user_count_once(void**) {
    PresenceBook book;
    assert_true(book.enter("c", "bob", "", 10) == Entry::Joined);
    assert_true(book.enter("c", "bob", "", 10) == Entry::Known);
    assert_true(book.enter("c", "alice", R"({"a":1})", 10) == Entry::Joined);
    assert_string_equal(names(book, "c").c_str(), "alice1 bob2 ");
    assert_string_equal(names(book, "other").c_str(), "");
    assert_string_equal(attendance_json(book.users("c")).c_str(),
                        R"({"users":[{"user":"alice","info":{"a":1},"connections":1},)"
                        R"({"user":"bob","connections":2}],"count":2})");
    assert_int_equal(book.size(), 2);
}

void test_leaving_takes_the_last_connection_and_the_grace(void**) {
    PresenceBook book;
    book.enter("c", "bob", "", 10);
    book.enter("c", "bob", "", 10);
    book.leave("c", "bob", 1000, 500);
    assert_true(book.expire(10'000).empty());
    book.leave("c", "bob", 10'000, 500);
    assert_string_equal(names(book, "c").c_str(), "bob0 ");
    assert_true(book.expire(10'499).empty());
    const auto left = book.expire(10'500);
    assert_int_equal(left.size(), 1);
    assert_string_equal(left[0].channel.c_str(), "c");
    assert_string_equal(left[0].user.c_str(), "bob");
    assert_int_equal(book.size(), 0);
    assert_true(book.enter("c", "bob", "", 10) == Entry::Joined);
}

void test_the_last_info_counts(void**) {
    PresenceBook book;
    book.enter("c", "bob", "1", 10);
    assert_true(book.enter("c", "bob", "2", 10) == Entry::Renewed);
    assert_true(book.enter("c", "bob", "2", 10) == Entry::Known);
    assert_string_equal(book.users("c")[0].info.c_str(), "2");
    assert_int_equal(book.users("c")[0].connections, 3);
}

void test_who_reconnects_has_not_left(void**) {
    PresenceBook book;
    book.enter("c", "bob", "1", 10);
    book.leave("c", "bob", 0, 500);
    assert_true(book.enter("c", "bob", "1", 10) == Entry::Known);
    assert_true(book.expire(500).empty());
    book.leave("c", "bob", 600, 500);
    assert_true(book.expire(1099).empty());
    assert_int_equal(book.expire(1100).size(), 1);
}

void test_most(void**) {
    PresenceBook book;
    book.enter("c", "a", "", 2);
    book.enter("c", "b", "", 2);
    assert_true(book.enter("c", "x", "", 2) == Entry::Full);
    assert_true(book.enter("c", "b", "", 2) == Entry::Known);
    assert_true(book.enter("d", "x", "", 2) == Entry::Joined);
    book.leave("c", "x", 0, 0); // was not kept
    book.leave("nowhere", "x", 0, 0);
    assert_true(book.expire(1).empty());
    book.leave("c", "a", 0, 0);
    assert_int_equal(book.expire(1).size(), 1);
    assert_true(book.enter("c", "x", "", 2) == Entry::Joined);
}

// Against a model: who joined and has not left is who has a connection, or had one within the
// grace.
void test_random(void**) {
    PresenceBook book;
    std::map<std::string, int> connections;
    std::map<std::string, Millis> gone;
    std::set<std::string> here;
    uint32_t seed = 7;
    const auto random = [&](uint32_t below) {
        seed = seed * 1664525 + 1013904223;
        return (seed >> 8) % below;
    };
    Millis now = 0;
    for (int i = 0; i < 20'000; ++i) {
        now += random(40);
        const std::string user(1, static_cast<char>('a' + random(6)));
        for (const auto& left : book.expire(now)) {
            assert_int_equal(here.erase(left.user), 1);
            assert_int_equal(connections[left.user], 0);
            assert_true(now - gone[left.user] >= 200);
        }
        for (const std::string& each : here)
            assert_true(connections[each] > 0 || now - gone[each] < 200);
        if (random(2) == 0) {
            const bool joined = book.enter("c", user, "", 100) == Entry::Joined;
            assert_int_equal(joined, here.insert(user).second);
            ++connections[user];
        } else if (connections[user] > 0) {
            book.leave("c", user, now, 200);
            if (--connections[user] == 0)
                gone[user] = now;
        }
    }
    assert_true(!here.empty());
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_of_one_user_count_once),
        cmocka_unit_test(test_leaving_takes_the_last_connection_and_the_grace),
        cmocka_unit_test(test_who_reconnects_has_not_left),
        cmocka_unit_test(test_the_last_info_counts),
        cmocka_unit_test(test_most),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
