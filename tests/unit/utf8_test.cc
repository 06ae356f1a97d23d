// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include "tests/unit/test.h"

using namespace fanhorn;
using namespace std::string_literals;

namespace {

struct Row {
    const char* name;
    std::string bytes;
    bool good;
    size_t fails_at; // the byte that can not be there; the size where only the end is missing
};

const Row kRows[] = {
    {"empty", "", true, 0},
    {"ascii", "hello, world; and more than eight bytes", true, 0},
    {"nul", "\0"s, true, 0},
    {"all lengths", "\x7f\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80", true, 0},
    {"last code point", "\xF4\x8F\xBF\xBF", true, 0},
    {"before the surrogates", "\xED\x9F\xBF", true, 0},
    {"behind the surrogates", "\xEE\x80\x80", true, 0},
    {"behind eight of ascii",
     "12345678\xC3\xA9"
     "12345678",
     true, 0},
    {"lone continuation", "a\x80", false, 1},
    {"lone continuation in the ninth", "12345678\xBF", false, 8},
    {"overlong slash, 2", "\xC0\xAF", false, 0},
    {"overlong, C1", "\xC1\xBF", false, 0},
    {"overlong, 3", "\xE0\x9F\xBF", false, 1},
    {"overlong, 4", "\xF0\x8F\xBF\xBF", false, 1},
    {"first surrogate", "\xED\xA0\x80", false, 1},
    {"last surrogate", "\xED\xBF\xBF", false, 1},
    {"beyond U+10FFFF", "\xF4\x90\x80\x80", false, 1},
    {"F5", "\xF5\x80\x80\x80", false, 0},
    {"FE", "\xFE", false, 0},
    {"FF", "abc\xFF", false, 3},
    {"ascii for a continuation", "\xE2\x82z", false, 2},
    {"lead for a continuation", "\xE2\xE2\x82\xAC", false, 1},
    {"cut, 2", "ab\xC3", false, 3},
    {"cut, 3", "\xE2\x82", false, 2},
    {"cut, 4", "\xF0\x9F\x98", false, 3},
    {"ranges forgotten after a bad bound", "\xE0\xA0\xBF\xF4\x8F\x80\xBF\xED\x80\xBF", true, 0},
};

} // namespace

static void test_whole(void**) {
    for (const Row& row : kRows)
        assert_row(row.name, is_utf8(row.bytes) == row.good);
}

// Fed byte by byte it fails exactly where no text could go on.
static void test_fails_early(void**) {
    for (const Row& row : kRows) {
        Utf8Validator validator;
        size_t at = 0;
        while (at < row.bytes.size() && validator.feed(std::string_view(row.bytes).substr(at, 1)))
            ++at;
        assert_row(row.name, at == (row.good ? row.bytes.size() : row.fails_at));
        assert_row(row.name, validator.complete() == row.good);
    }
}

static void test_every_split(void**) {
    for (const Row& row : kRows) {
        for (size_t cut = 0; cut <= row.bytes.size(); ++cut) {
            Utf8Validator validator;
            const std::string_view bytes = row.bytes;
            validator.feed(bytes.substr(0, cut));
            const bool fed = validator.feed(bytes.substr(cut));
            assert_row(row.name, (fed && validator.complete()) == row.good);
        }
    }
}

static void test_stays_failed(void**) {
    Utf8Validator validator;
    assert_false(validator.feed("\xFF"));
    assert_false(validator.feed("good"));
    assert_false(validator.feed(""));
    assert_false(validator.complete());
    validator.reset();
    assert_true(validator.feed("good"));
    assert_true(validator.complete());
}

// Every sequence of up to three bytes against the definition.
static void test_exhaustively(void**) {
    size_t good = 0;
    for (uint32_t bits = 0; bits < 1u << 24; ++bits) {
        const char bytes[] = {static_cast<char>(bits >> 16), static_cast<char>(bits >> 8),
                              static_cast<char>(bits)};
        // Only those that begin one character of exactly three bytes: the others are in the rows.
        if (static_cast<uint8_t>(bytes[0]) < 0xE0 || static_cast<uint8_t>(bytes[0]) > 0xEF)
            continue;
        good += is_utf8({bytes, 3});
    }
    assert_int_equal(good, 0x10000 - 0x800 - 0x800); // U+0800 to U+FFFF without surrogates
}

static void test_control_characters(void**) {
    for (const char* text : {"", "abc", "a b", "\xc2\xa0", "\xc3\x80", "\xe2\x80\x80"})
        assert_row(text, !has_control(text));
    for (const char* text : {"\x01", "a\n", "a\tb", "\x7f", "\xc2\x80", "a\xc2\x9f"})
        assert_row(text, has_control(text));
    assert_true(has_control(std::string_view("\0", 1)));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),        cmocka_unit_test(test_fails_early),
        cmocka_unit_test(test_every_split),  cmocka_unit_test(test_stays_failed),
        cmocka_unit_test(test_exhaustively), cmocka_unit_test(test_control_characters),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
