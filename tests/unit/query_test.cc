// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "http/grammar.h"
#include "http/request.h"
#include "http/target.h"

#include "tests/unit/test.h"

using namespace fanhorn::http;
using namespace std::string_literals;

static std::string joined(const std::vector<QueryParameter>& parameters) {
    std::string text;
    for (const QueryParameter& parameter : parameters)
        text += "[" + parameter.name + "|" + parameter.value + "]";
    return text;
}

static void test_query(void**) {
    struct {
        std::string query, expected;
    } rows[] = {
        {"", ""},
        {"a=1", "[a|1]"},
        {"a=1&b=2&a=3", "[a|1][b|2][a|3]"},
        {"a", "[a|]"},
        {"a=", "[a|]"},
        {"=1", "[|1]"},
        {"&&a=1&&", "[a|1]"},
        {"a=b=c", "[a|b=c]"},
        {"a+b=c+d", "[a b|c d]"},
        {"a%2Bb=c%26d%3D", "[a+b|c&d=]"},
        {"%C3%A9=%e2%82%ac", "[\xC3\xA9|\xE2\x82\xAC]"},
        {"a=%2541", "[a|%41]"},
        {"a=%00", "[a|\0]"s},
        {"a=%FF", "[a|\xFF]"}, // whether it must be UTF-8 is the reader's business
        {"a=?/:@", "[a|?/:@]"},
        {"a=1;b=2", "[a|1;b=2]"},
        {"since=k3f9q2.1042&wait=25", "[since|k3f9q2.1042][wait|25]"},
    };
    for (const auto& row : rows) {
        std::vector<QueryParameter> parameters;
        assert_row(row.query, parse_query(row.query, parameters));
        assert_row(row.query, joined(parameters) == row.expected);
    }
}

static void test_bad_queries(void**) {
    for (const char* query : {"a=%", "a=%1", "a=%zz", "%=1", "a=1&b=%4", "%G0", "a=%+1"}) {
        std::vector<QueryParameter> parameters;
        assert_row(query, !parse_query(query, parameters));
    }
}

static void test_most_parameters(void**) {
    std::string query;
    for (size_t i = 0; i < kMaxParameters; ++i)
        query += "a&";
    std::vector<QueryParameter> parameters;
    assert_true(parse_query(query, parameters));
    assert_int_equal(parameters.size(), kMaxParameters);
    parameters.clear();
    assert_false(parse_query(query + "a", parameters));
}

static void test_authorities(void**) {
    for (const char* good : {"a", "a.example", "A-b_c~d", "10.0.0.1", "10.0.0.1:80", "a:0",
                             "a:65535", "a:", "[::1]", "[::1]:443", "[2001:db8::192.0.2.1]",
                             "xn--caf-dma.example", "0.0.0.0=5000", "a%20b", "a!$&'()*+,;=b"})
        assert_row(good, is_authority(good));
    for (const std::string& bad :
         {""s,         ":"s,       ":80"s,         "a:x"s,       "a:-1"s,   "a:65536"s,
          "a:000080"s, "a b"s,     " a"s,          "a/b"s,       "a?b"s,    "a#b"s,
          "a@b"s,      "a%"s,      "a%4"s,         "a%zz"s,      "a\"b"s,   "a<b"s,
          "a\\b"s,     "a|b"s,     "a^b"s,         "::1"s,       "[]"s,     "[::1"s,
          "::1]"s,     "[::1]a"s,  "[::1]:x"s,     "[1.2.3.4]"s, "[v1.a]"s, "[fe80::1%eth0]"s,
          "[:::]"s,    "[::1\0]"s, "caf\xC3\xA9"s, "a\x7f"s,     "a\tb"s})
        assert_row(fanhorn::escape_for_log(bad), !is_authority(bad));
}

static void test_accept(void**) {
    const struct {
        std::vector<Header> headers;
        bool is_accepted;
    } kRows[] = {
        {{}, false},
        {{{"Accept", "text/event-stream"}}, true},
        {{{"accept", "TEXT/Event-Stream"}}, true},
        {{{"Accept", "application/json, text/event-stream;charset=utf-8"}}, true},
        {{{"Accept", "application/json"}, {"Accept", "text/event-stream"}}, true},
        {{{"Accept", "text/event-stream; q=0.1"}}, true},
        {{{"Accept", "text/event-stream; q=0"}}, false},
        {{{"Accept", "text/event-stream;a=b; Q=0.000"}}, false},
        {{{"Accept", "text/event-stream;q=0, text/event-stream"}}, true},
        {{{"Accept", "text/event-stream;q="}}, true}, // which says nothing
        {{{"Accept", "*/*"}}, false},
        {{{"Accept", "text/*"}}, false},
        {{{"Accept", ""}}, false},
        {{{"Accept", ", ;q=0,"}}, false},
        {{{"Accept-Language", "text/event-stream"}}, false},
    };
    for (const auto& row : kRows) {
        Request request;
        request.headers = row.headers;
        const std::string name = row.headers.empty() ? "none" : row.headers.back().value;
        assert_row(name, request.accepts("text/event-stream") == row.is_accepted);
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_query),           cmocka_unit_test(test_bad_queries),
        cmocka_unit_test(test_most_parameters), cmocka_unit_test(test_authorities),
        cmocka_unit_test(test_accept),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
