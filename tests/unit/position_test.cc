// SPDX-License-Identifier: Apache-2.0
#include "relay/position.h"

#include "tests/unit/test.h"

using namespace fanhorn;

static void test_what_is_no_position(void**) {
    for (const char* text : {"",
                             ".",
                             "a",
                             "a.",
                             ".1",
                             "1",
                             "a.b",
                             "A.1",
                             "a.1.2",
                             "a,1",
                             " a.1",
                             "a.1 ",
                             "a.-1",
                             "a.+1",
                             "a.0x1",
                             "abcdefghijklm.1",
                             "a.123456789012345678901",
                             "\xc3\xa9.1",
                             "a-b.1",
                             "a.1\n"})
        assert_row(text, !parse_position(text));
    assert_false(parse_position(std::string_view("a\0.1", 4)).has_value());
    assert_false(parse_position(std::string_view("a.1\0", 4)).has_value());
}

static void test_positions(void**) {
    const struct {
        const char* text;
        Position position;
    } kRows[] = {
        {"0.0", {0, 0}},
        {"a.1", {10, 1}},
        {"z.1042", {35, 1042}},
        {"10.7", {36, 7}},
        {"000a.0007", {10, 7}},
        {"k3f9q2.1042", {1'215'074'810, 1042}},
        {"a.18446744073709551615", {10, UINT64_MAX}},
        {"a.18446744073709551616", {10, UINT64_MAX}}, // beyond 64 bits: the largest
        {"a.99999999999999999999", {10, UINT64_MAX}},
        {"zzzzzzzzzzzz.1", {4'738'381'338'321'616'895, 1}},
    };
    for (const auto& row : kRows) {
        const auto position = parse_position(row.text);
        assert_row(row.text, position && *position == row.position);
    }
}

static void test_round_trip(void**) {
    for (const uint64_t epoch : {uint64_t{1}, uint64_t{35}, uint64_t{36}, random_epoch()})
        for (const uint64_t seq : {uint64_t{0}, uint64_t{1}, uint64_t{10'000}, UINT64_MAX}) {
            const std::string text = position_text({epoch, seq});
            assert_true(text.size() <= kPositionTextSize);
            assert_true(parse_position(text) == (Position{epoch, seq}));
        }
    std::string out = "id: ";
    append_position(out, {36, 7});
    assert_text(out, "id: 10.7");
}

static void test_since(void**) {
    using Kind = Since::Kind;
    const struct {
        const char* text;
        Kind kind;
        uint64_t count;
        Position position;
    } kRows[] = {
        {"latest", Kind::Latest, 0, {}},
        {"earliest", Kind::Earliest, 0, {}},
        {"0", Kind::Earliest, 0, {}},
        {"-1", Kind::Newest, 1, {}},
        {"-0", Kind::Newest, 0, {}},
        {"-50", Kind::Newest, 50, {}},
        {"-18446744073709551615", Kind::Newest, UINT64_MAX, {}},
        {"a.5", Kind::After, 0, {10, 5}},
        {"0.0", Kind::After, 0, {0, 0}},
    };
    for (const auto& row : kRows) {
        const auto since = parse_since(row.text);
        assert_row(row.text, since && since->kind == row.kind);
        assert_row(row.text, since->count == row.count && since->position == row.position);
    }
    for (const char* text : {"", "Latest", "newest", "1", "00", "-", "--1", "-1.5", "- 1", "+1",
                             "-a", "-18446744073709551616", "a.", "latest ", "*"})
        assert_row(text, !parse_since(text));
}

static void test_epochs_are_eight_digits(void**) {
    for (int i = 0; i < 1000; ++i) {
        const std::string text = position_text({random_epoch(), 1});
        assert_int_equal(text.find('.'), 8);
    }
    assert_true(random_epoch() != random_epoch());
}

static void test_as_json(void**) {
    std::string out = "[";
    append_position_or_null(out, {parse_position("k3f9q2.0")->epoch, 1042});
    append_position_or_null(out += ',', {0, 7});
    assert_text(out, R"(["k3f9q2.1042",null)");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_position),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_since),
        cmocka_unit_test(test_epochs_are_eight_digits),
        cmocka_unit_test(test_as_json),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
