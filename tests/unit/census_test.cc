// SPDX-License-Identifier: Apache-2.0
#include "server/census.h"

#include "test.h"

using namespace fanhorn;

using Kind = Census::Kind;

static const Census::Who kChannel = {.kind = Kind::Channel, .channel = "chat"};
static const Census::Who kUser = {.kind = Kind::User, .user = "chat"};
static const Census::Who kAttendee = {Kind::Attendee, "chat", "alice"};

static void kinds_are_told_apart(void**) {
    Census census;
    for (const auto& who : {kChannel, kUser, kAttendee})
        assert_true(census.come(who));
    assert_false(census.come(kAttendee));
    assert_int_equal(census.size(), 3);
    assert_true(census.is_here(kUser));
    assert_false(census.is_here({.kind = Kind::User, .user = "alice"}));
}

static void the_last_one_counts(void**) {
    Census census;
    census.come(kChannel);
    census.come(kChannel);
    census.go(kChannel, 100);
    assert_false(census.take_gone(10'000, 0).has_value());
    census.go(kChannel, 200);
    assert_false(census.take_gone(1199, 1000).has_value());
    assert_true(census.is_here(kChannel));
    const auto gone = census.take_gone(1200, 1000);
    assert_text(gone->channel, "chat");
    assert_true(gone->kind == Kind::Channel);
    assert_false(census.is_here(kChannel));
    assert_false(census.take_gone(1200, 1000).has_value());
    assert_true(census.come(kChannel));
}

static void who_comes_back_has_not_gone(void**) {
    Census census;
    census.come(kUser);
    census.go(kUser, 100);
    assert_false(census.come(kUser));
    assert_false(census.take_gone(10'000, 1000).has_value());
    census.go(kUser, 20'000);
    assert_false(census.take_gone(20'500, 1000).has_value());
    assert_true(census.take_gone(21'000, 1000).has_value());
}

static void in_the_order_of_going(void**) {
    Census census;
    for (const auto& who : {kChannel, kUser, kAttendee})
        census.come(who);
    census.go(kAttendee, 1);
    census.go(kChannel, 2);
    census.go(kUser, 3);
    assert_true(census.take_gone(9, 0)->kind == Kind::Attendee);
    assert_true(census.take_gone(9, 0)->kind == Kind::Channel);
    assert_true(census.take_gone(9, 0)->kind == Kind::User);
    assert_int_equal(census.size(), 0);
}

static void strangers_do_not_go(void**) {
    Census census;
    census.go(kUser, 1);
    census.come(kUser);
    census.go(kUser, 1);
    census.go(kUser, 1);
    assert_true(census.take_gone(1, 0).has_value());
    assert_false(census.take_gone(1, 0).has_value());
}

static void everybody_goes(void**) {
    Census census;
    census.come(kUser);
    census.come(kUser);
    census.come(kChannel);
    census.go(kChannel, 1);
    census.end(2);
    assert_true(census.take_gone(2, 0)->kind == Kind::Channel);
    assert_true(census.take_gone(2, 0)->kind == Kind::User);
    assert_int_equal(census.size(), 0);
}

static void too_many_have_gone(void**) {
    Census census(2);
    for (const char* channel : {"a", "b", "c", "d"})
        census.come({.kind = Census::Kind::Channel, .channel = channel});
    for (const char* channel : {"a", "b", "c"})
        census.go({.kind = Census::Kind::Channel, .channel = channel}, 1);
    assert_text(census.take_gone(1, 1000)->channel, "a"); // the longest gone, before its time
    assert_false(census.take_gone(1, 1000).has_value());
    census.come({.kind = Census::Kind::Channel, .channel = "b"});
    census.go({.kind = Census::Kind::Channel, .channel = "d"}, 1);
    assert_false(census.take_gone(1, 1000).has_value()); // two again
    census.go({.kind = Census::Kind::Channel, .channel = "b"}, 1);
    assert_text(census.take_gone(1, 1000)->channel, "c");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_told_apart),        cmocka_unit_test(the_last_one_counts),
        cmocka_unit_test(who_comes_back_has_not_gone), cmocka_unit_test(in_the_order_of_going),
        cmocka_unit_test(strangers_do_not_go),         cmocka_unit_test(everybody_goes),
        cmocka_unit_test(too_many_have_gone),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
