// SPDX-License-Identifier: Apache-2.0
// Values found in JSON as they stand.
#include "ctl/json_text.h"

#include "test.h"

using namespace fanhorn::ctl;

static void test_members(void**) {
    const struct {
        const char *object, *name, *value;
    } kRows[] = {
        {R"({"data":1})", "data", "1"},
        {R"( { "a" : 0 , "data" : [1, 2] } )", "data", "[1, 2]"},
        {R"({"data":12345678901234567890123.10})", "data", "12345678901234567890123.10"},
        {R"({"a":{"data":1},"data":{"data":2}})", "data", R"({"data":2})"},
        {R"({"a":"\"data\":1,","data":"x,}\\"})", "data", R"("x,}\\")"},
        {R"({"a":"]}","data":true})", "data", "true"},
        {R"({"a":["data",{"x":"}"}],"data":null})", "data", "null"},
        {R"({"datas":1,"dat":2})", "data", ""},
        {R"({})", "data", ""},
        {R"(["data",1])", "data", ""},
        {R"("data")", "data", ""},
        {"", "data", ""},
    };
    for (const auto& row : kRows)
        assert_row(row.object, raw_member(row.object, row.name) == row.value);
}

static void test_deep_nesting(void**) {
    const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
    assert_true(raw_member("{\"a\":" + deep + ",\"data\":" + deep + "}", "data") == deep);
}

// Whatever is cut off anywhere: nothing outside of the text is read (the sanitizers look on).
static void test_cut_texts(void**) {
    const std::string whole = R"({"a":["x\"",{"b":1}],"data":"\\"})";
    for (size_t size = 0; size < whole.size(); ++size) {
        const std::string cut = whole.substr(0, size);
        assert_true(raw_member(cut, "data").size() <= cut.size());
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_cut_texts),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
