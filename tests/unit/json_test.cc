// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <tuple>

#include "tests/unit/test.h"

using namespace fanhorn;
using namespace std::string_literals;

static std::string nested(size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

static void test_accepted(void**) {
    struct Row {
        std::string text;
        JsonKind kind;
    };
    for (const Row& row : {Row{"{}", JsonKind::Object},
                           {"{ }", JsonKind::Object},
                           {"{\"a\":{\"b\":[1,{\"c\":null}]},\"\":[]}", JsonKind::Object},
                           {"[]", JsonKind::Array},
                           {"[ 1 , 2 ]", JsonKind::Array},
                           {" \t\r\n[\n]\r\n", JsonKind::Array},
                           {nested(64), JsonKind::Array},
                           {"\"\"", JsonKind::String},
                           {"\"\x7f\"", JsonKind::String},
                           {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u20aC\"", JsonKind::String},
                           {"\"\\ud83d\\uDE00\"", JsonKind::String},
                           {"\"gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x98\x80\"", JsonKind::String},
                           {"0", JsonKind::Number},
                           {"-0", JsonKind::Number},
                           {"-0.0e-0", JsonKind::Number},
                           {"1E+2", JsonKind::Number},
                           {"1e400", JsonKind::Number},
                           {"0.1e-99999", JsonKind::Number},
                           {std::string(1000, '9'), JsonKind::Number},
                           {"true", JsonKind::Boolean},
                           {"false", JsonKind::Boolean},
                           {" null ", JsonKind::Null}})
        assert_row(row.text, read_json(row.text, 64) == row.kind);
}

static void test_refused(void**) {
    for (const std::string& text :
         {""s, " "s, "{"s, "}"s, "["s, "]"s, "[}"s, "{]"s, "[1,]"s, "[,1]"s, "[1 2]"s, "{,}"s,
          "{\"a\"}"s, "{\"a\":}"s, "{\"a\":1,}"s, "{a:1}"s, "{1:1}"s, "{\"a\":1 \"b\":2}"s,
          "{\"a\":1}x"s, "{} {}"s, "1 2"s, "[]]"s, "nul"s, "nulll"s, "True"s, "NaN"s, "Infinity"s,
          "-Infinity"s, "01"s, "-01"s, "+1"s, "-"s, "1."s, ".1"s, "1.e1"s, "1e"s, "1e+"s, "0x1"s,
          "1_0"s, "'a'"s, "// c\n1"s, "/**/1"s, "\""s, "\"\\\""s, "\"\\x\""s, "\"\\u12\""s,
          "\"\\u12g4\""s, "\"\\u123"s, "\"a\nb\""s, "\"a\tb\""s, "\"\x1f\""s, "\"1234567\x01\""s,
          "\"12345678\x01\""s,
          // Lone halves of a pair: no text has them.
          "\"\\ud800\""s, "\"\\udc00\""s, "\"\\ud800\\u0041\""s, "\"\\ud800x\""s,
          "\"\\ud800\\ud800\""s, "\"\\ud800\\"s,
          // Not UTF-8, and what is not JSON's blank.
          "\"\xff\""s, "\"\xc3\""s, "\"\xed\xa0\x80\""s, "\"\xc0\x80\""s, "\xff{}"s, "\xc2\xa0{}"s,
          "\xef\xbb\xbf{}"s, "\f{}"s, "\v{}"s, "{}\0"s, "\0"s, "[1\0]"s, nested(65),
          std::string(100000, '['), std::string(64, '[') + "{}"})
        assert_row(text.substr(0, 80), !read_json(text, 64));
}

static void test_depth(void**) {
    assert_true(read_json("1", 0).has_value());
    assert_false(read_json("[]", 0).has_value());
    assert_true(read_json("[{},{},[]]", 2).has_value());
    assert_false(read_json("[{},{\"a\":[]}]", 2).has_value());
    assert_true(read_json(nested(100000), SIZE_MAX).has_value());
}

static void test_numbers_of_doubles(void**) {
    struct Row {
        std::string text;
        bool is_double;
    };
    const auto zeros = [](size_t count) { return std::string(count, '0'); };
    for (const Row& row : {Row{"0", true},
                           {"[1.7976931348623157e308]", true},
                           {"[-1.7976931348623157E+308]", true},
                           {"[1.7976931348623159e308]", false},
                           {"1e999", false},
                           {"-1e999", false},
                           {"1e-999", true},
                           {"0e999", true},
                           {"0." + zeros(400) + "1e500", true},
                           {"1" + zeros(308), true},
                           {"2" + zeros(308), false},
                           {"1" + zeros(400), false},
                           {"1" + zeros(400) + "e-200", true},
                           {"1." + zeros(400), true},
                           {"{\"a\":[{\"b\":1e309}]}", false},
                           {"\"1e999\"", true}}) {
        assert_row(row.text, read_json(row.text, 64).has_value());
        assert_row(row.text, read_json(row.text, 64, nullptr, JsonNumbers::Doubles).has_value() ==
                                 row.is_double);
    }
}

static void test_parts(void**) {
    std::vector<JsonPart> parts;
    assert_true(read_json(" { \"a\" : [1, {\"b\" :2}] ,\"\\u0061\":\t-1.0 , \"a\":{} } ", 64,
                          &parts) == JsonKind::Object);
    assert_int_equal(parts.size(), 3);
    assert_text(parts[0].name, "\"a\"");
    assert_text(parts[0].value, "[1, {\"b\" :2}]");
    assert_text(parts[1].name, "\"\\u0061\"");
    assert_text(parts[1].value, "-1.0");
    assert_text(parts[2].value, "{}");

    parts.clear();
    assert_true(read_json("[\"x\", [] ,null]", 64, &parts) == JsonKind::Array);
    assert_int_equal(parts.size(), 3);
    assert_text(parts[0].value, "\"x\"");
    assert_true(parts[0].name.empty());
    assert_text(parts[1].value, "[]");
    assert_text(parts[2].value, "null");
    assert_true(json_kind(parts[2].value) == JsonKind::Null);

    parts.clear();
    assert_true(read_json("\"x\"", 64, &parts) == JsonKind::String);
    assert_true(parts.empty());
}

static void test_nodes(void**) {
    struct Expected {
        const char *name, *value;
        uint32_t next;
    };
    static constexpr Expected kNodes[] = {
        {"", "{ \"a\" : [1, {\"b\" :[]}] ,\"c\":{}, \"a\":\t-1.0 }", 7},
        {"\"a\"", "[1, {\"b\" :[]}]", 5},
        {"", "1", 3},
        {"", "{\"b\" :[]}", 5},
        {"\"b\"", "[]", 5},
        {"\"c\"", "{}", 6},
        {"\"a\"", "-1.0", 7},
    };
    const std::string text = " " + std::string(kNodes[0].value) + "\n";
    std::vector<JsonNode> nodes;
    assert_true(read_json_nodes(text, 4, 7, nodes));
    assert_int_equal(nodes.size(), std::size(kNodes));
    for (size_t i = 0; i < nodes.size(); ++i) {
        assert_row(std::to_string(i), nodes[i].name == kNodes[i].name);
        assert_row(std::to_string(i), nodes[i].value == kNodes[i].value);
        assert_row(std::to_string(i), nodes[i].next == kNodes[i].next);
    }

    for (const char* scalar : {"1e400", "\"x\"", "null"}) {
        nodes.clear();
        assert_true(read_json_nodes(scalar, 0, 1, nodes));
        assert_int_equal(nodes.size(), 1);
        assert_text(nodes[0].value, scalar);
        assert_int_equal(nodes[0].next, 1);
    }
    for (const auto& [refused, depth, max] : {std::tuple{"[1,2]", 1, 2},
                                              {"[[1]]", 1, 9},
                                              {"[1,]", 9, 9},
                                              {"\"\xff\"", 9, 9},
                                              {"", 9, 9}}) {
        nodes.clear();
        assert_false(read_json_nodes(refused, depth, max, nodes));
    }
}

// A quote, a backslash or a control byte at every place of the words that are looked at at once.
static void test_string_places(void**) {
    for (size_t length = 0; length < 40; ++length)
        for (size_t at = 0; at < length; ++at) {
            std::string text(length, 'x');
            assert_true(read_json('"' + text + '"', 1).has_value());
            for (const char bad : {'"', '\\', '\n', '\0', '\x1f'}) {
                text[at] = bad;
                assert_false(read_json('"' + text + '"', 1).has_value());
            }
        }
}

static void test_text(void**) {
    assert_text(json_text("\"\""), "");
    assert_text(json_text("\"plain \xc3\xa9\""), "plain \xc3\xa9");
    assert_text(json_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\/\b\f\n\r\t");
    assert_text(json_text("\"a\\u0041\\u00e9\\u20AC\\ud83d\\ude00z\""),
                "aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    assert_text(json_text("\"\\ud800\\udc00\\udbff\\udfff\""), "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    assert_true(json_text("\"\\u0000\"") == "\0"s);
    assert_text(json_text("\"\\uffff\\u007f\\u0080\\u07ff\\u0800\""),
                "\xef\xbf\xbf\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),    cmocka_unit_test(test_numbers_of_doubles),
        cmocka_unit_test(test_parts),    cmocka_unit_test(test_string_places),
        cmocka_unit_test(test_text),     cmocka_unit_test(test_nodes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
