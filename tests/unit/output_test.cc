// SPDX-License-Identifier: Apache-2.0
// What strangers publish, on the operator's terminal.
#include "ctl/json.h"
#include "ctl/output.h"

#include "test.h"

using namespace fanhorn::ctl;

static void test_one_line(void**) {
    const struct {
        const char *text, *plain, *for_terminal;
    } kRows[] = {
        {"hello", "hello", "hello"},
        {"", "", ""},
        {"a\nb\r\nc", "a\\nb\\r\\nc", "a\\nb\\r\\nc"},
        {"\x1b[2J", "\x1b[2J", "\\x1b[2J"},
        {"\x7f\t", "\x7f\t", "\\x7f\\x09"},
        {"\xc2\x9b"
         "2J",
         "\xc2\x9b"
         "2J",
         "\\xc2\\x9b2J"}, // U+009B, CSI
        {"\x9b"
         "2J",
         "\x9b"
         "2J",
         "\\x9b2J"}, // the same alone
        {"\xc2\xa0\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80",
         "\xc2\xa0\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80",
         "\xc2\xa0\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xe2\x82", "\xe2\x82", "\\xe2\\x82"},    // cut off
        {"\xe2\x1b[", "\xe2\x1b[", "\\xe2\\x1b["}, // hides nothing
        {"\xc0\x9b", "\xc0\x9b", "\\xc0\\x9b"},    // overlong
    };
    for (const auto& row : kRows) {
        assert_text(one_line(row.text, false), row.plain);
        assert_text(one_line(row.text, true), row.for_terminal);
    }
}

static std::string nested(size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

static void test_nesting_is_bounded(void**) {
    assert_true(parse_json(nested(kMaxDepth)).has_value());
    for (const size_t depth : {size_t{kMaxDepth} + 2, size_t{1'000'000}})
        assert_false(parse_json(nested(depth)).has_value());
    assert_false(parse_json("{\"a\":").has_value());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_nesting_is_bounded),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
