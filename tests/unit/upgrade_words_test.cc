// SPDX-License-Identifier: Apache-2.0
// What is handed over, as bytes and back.
#include "server/upgrade_words.h"

#include "tests/unit/test.h"

using namespace fanhorn;

static void test_there_and_back(void**) {
    HandedState state;
    state.frozen_at_micros = 123'456'789;
    state.absent_until = 42;
    state.upgrades = {1, 2, 3};
    state.hooks = "hooks";
    state.brokers = {{"", "log"}, {"other", ""}};
    state.records = {{0, "first"}, {1, ""}};
    const std::string bytes = pack_state(state);
    const auto back = unpack_state(bytes);
    assert_true(back.has_value());
    assert_int_equal(back->frozen_at_micros, 123'456'789);
    assert_int_equal(back->absent_until, 42);
    assert_true(back->upgrades == state.upgrades);
    assert_true(back->hooks == "hooks");
    assert_true(back->brokers.size() == 2 && back->brokers[0].state == "log");
    assert_true(back->brokers[1].name == "other");
    assert_true(back->records.size() == 2 && back->records[0].record == "first");
    assert_int_equal(back->records[1].worker, 1);

    for (size_t size = 0; size < bytes.size(); ++size)
        assert_false(unpack_state(std::string_view(bytes).substr(0, size)).has_value());
    assert_false(unpack_state(bytes + "x").has_value());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
