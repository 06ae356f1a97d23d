// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include "tests/unit/test.h"

using namespace fanhorn;
using namespace std::string_literals;

static void test_equal_ignoring_case(void**) {
    assert_true(equal_ignoring_case("", ""));
    assert_true(equal_ignoring_case("Content-LENGTH", "cONTENT-length"));
    assert_false(equal_ignoring_case("host", "hos"));
    assert_false(equal_ignoring_case("hos", "host"));
    // Only letters fold: these pairs differ in the same bit.
    assert_false(equal_ignoring_case("@[", "`{"));
    assert_false(equal_ignoring_case("\xC4", "\xE4"));
    assert_false(equal_ignoring_case("a\0b"s, "a\0c"s));
}

static void test_trim_blanks(void**) {
    assert_text(trim_blanks(" \t a b\t "), "a b");
    assert_text(trim_blanks("\t \t"), "");
    assert_text(trim_blanks(""), "");
    assert_text(trim_blanks("\r\na\n"), "\r\na\n");
}

static void test_pieces(void**) {
    const auto pieces = split("a,,b,", ',');
    assert_int_equal(pieces.size(), 4);
    assert_text(pieces[0], "a");
    assert_text(pieces[1], "");
    assert_text(pieces[2], "b");
    assert_text(pieces[3], "");
    assert_int_equal(split("", ',').size(), 1);

    std::string_view rest = "k=v=w";
    assert_text(take_until(rest, '='), "k");
    assert_text(rest, "v=w");
    assert_text(take_until(rest, ','), "v=w");
    assert_true(rest.empty());
    assert_text(take_until(rest, ','), "");
}

static void test_numbers(void**) {
    struct {
        std::string text;
        bool good;
        uint64_t number;
    } rows[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"+1", false, 0},
        {"-1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1_0", false, 0},
        {"0x1", false, 0},
        {"1\0"s, false, 0},
        {"\xD9\xA1", false, 0}, // an Arabic digit
    };
    for (const auto& row : rows) {
        const auto number = parse_u64(row.text);
        assert_row(row.text, number.has_value() == row.good);
        assert_row(row.text, number.value_or(0) == row.number);
    }
    std::string out = "n=";
    append_number(out, 0);
    append_number(out, UINT64_MAX);
    assert_text(out, "n=018446744073709551615");
}

static void test_base64(void**) {
    // RFC 4648 section 10.
    const char* const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    const char* const coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t i = 0; i < std::size(plain); ++i) {
        assert_text(base64_encode(plain[i]), coded[i]);
        assert_true(base64_decode(coded[i]) == std::string(plain[i]));
    }
    std::string all;
    for (int byte = 0; byte < 256; ++byte)
        all += static_cast<char>(byte);
    assert_true(base64_decode(base64_encode(all)) == all);

    for (const char* bad : {"Z", "Zg", "Zg=", "Zg===", "====", "Z===", "Zh==", "Zm9=", "Zg==Zg==",
                            "Z=g=", "Zm9v\n", "Zm9v    ", "Zm-_", "Zm9v="})
        assert_row(bad, !base64_decode(bad));
}

static void test_hex(void**) {
    assert_text(hex_encode("\x00\xff\x0a"s), "00ff0a");
    assert_text(hex_encode(std::string_view()), "");
    assert_int_equal(hex_value('F'), 15);
    assert_int_equal(hex_value('f'), 15);
    assert_int_equal(hex_value('g'), -1);
    assert_int_equal(hex_value('@'), -1);
    assert_int_equal(hex_value('\x10'), -1); // '0' without the bit that lower() sets
}

static void test_percent_decode(void**) {
    assert_true(percent_decode("a%20b%2Fc+d") == "a b/c+d"s);
    assert_true(percent_decode("%00%fF") == "\0\xff"s);
    assert_true(percent_decode("%2525") == "%25"s);
    assert_true(percent_decode("") == ""s);
    for (const char* bad : {"%", "%1", "a%", "%zz", "%1g", "%g1", "%%41", "%-1", "% 1", "%+1"})
        assert_row(bad, !percent_decode(bad));
}

static void test_json_string(void**) {
    std::string out;
    append_json_string(out, "a\"b\\c\b\f\n\r\t\x01\x1f\0/\x7f\xC3\xA9"s);
    assert_text(out, "\"a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000/\x7f\xC3\xA9\"");
    out.clear();
    append_json_string(out, "");
    assert_text(out, "\"\"");
    out.clear();
    append_json_string(out, "\n");
    assert_text(out, "\"\\n\"");
}

static void test_escape_for_log(void**) {
    assert_text(escape_for_log("plain ~text"), "plain ~text");
    assert_text(escape_for_log("a\r\nb\x1b[31m\x7f\0"s), "a\\x0d\\x0ab\\x1b[31m\\x7f\\x00");
    assert_text(escape_for_log("\"\\\xC2\x85"), "\\\"\\\\\\xc2\\x85");
}

static void test_edit_distance(void**) {
    struct {
        const char *left, *right;
        size_t distance;
    } rows[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"abc", "", 3},
        {"same", "same", 0},
        {"kitten", "sitting", 3},
        {"adress", "address", 1},
        {"recieve", "receive", 1},
        {"ab", "ba", 1},
        {"ca", "abc", 3},
        {"history", "histroy", 1},
        {"a", "b", 1},
    };
    for (const auto& row : rows) {
        assert_row(row.left, edit_distance(row.left, row.right) == row.distance);
        assert_row(row.right, edit_distance(row.right, row.left) == row.distance);
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_ignoring_case),
        cmocka_unit_test(test_trim_blanks),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_percent_decode),
        cmocka_unit_test(test_json_string),
        cmocka_unit_test(test_escape_for_log),
        cmocka_unit_test(test_edit_distance),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
