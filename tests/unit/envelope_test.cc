// SPDX-License-Identifier: Apache-2.0
#include "modules/envelope.h"

#include <nlohmann/json.hpp>

#include "test.h"

using namespace fanhorn;
using nlohmann::json;

static const char* name_of(DataKind kind) {
    return kind == DataKind::Json ? "json" : kind == DataKind::Text ? "text" : "base64";
}

static void classification(void**) {
    struct Row {
        const char* type;
        std::string payload;
        const char* kind;
    };
    const std::string deep = std::string(100000, '[');
    for (const Row& row : {
             Row{"", "{\"a\":1}", "json"},
             {"", "[]", "json"},
             {"", " \r\n\t[1] ", "json"},
             {"", deep + std::string(100000, ']'), "json"},
             {"", "1", "text"},
             {"", "\"a\"", "text"},
             {"", "null", "text"},
             {"", "", "text"},
             {"", "  ", "text"},
             {"", "{", "text"},
             {"", "{\"a\":1}x", "text"},
             {"", "{\"a\":1} {}", "text"},
             {"", "{'a':1}", "text"},
             {"", "[1,]", "text"},
             {"", "[// c\n1]", "text"},
             {"", "[\"a\nb\"]", "text"},
             {"", "[\"\\ud800\"]", "text"},
             {"", "[NaN]", "text"},
             {"", "[1e999]", "text"}, // grammatical, but no double holds it
             {"", deep, "text"},
             {"", std::string("{}\0", 3), "text"},
             {"", std::string("[1]\0}\n{", 7), "text"},
             {"", "\xef\xbb\xbf{}", "text"},
             {"", "hello", "text"},
             {"", "\xe2\x98\x95", "text"},
             {"", "\xff", "base64"},
             {"", "{\"a\":\"\xff\"}", "base64"},
             {"", "[\"\xed\xa0\x80\"]", "base64"},
             {"application/json", "1", "json"},
             {"application/json", "\"a\"", "json"},
             {"application/json", " true ", "json"},
             {"application/json", "{\"a\":1}", "json"},
             {"APPLICATION/Json; charset=utf-8", "1", "json"},
             {"application/json ;x", "1", "json"},
             {"application/problem+json", "1", "json"},
             {"application/vnd.api+JSON;v=1", "1", "json"},
             {"application/json", "hello", "text"},
             {"application/json", "", "text"},
             {"application/json", "\"\xff\"", "base64"},
             {"application/json", std::string("1\0", 2), "text"},
             {"application/json",
              "\xef\xbb\xbf"
              "1",
              "text"},
             {"application/jsonx", "1", "text"},
             {"+json", "1", "text"},
             {"text/plain", "{\"a\":1}", "text"},
             {"text/plain; x=application/json", "{}", "text"},
             {"text/plain", "\xff", "base64"},
             {"application/octet-stream", "abc", "text"},
             {"application/octet-stream", "\xff\xfe", "base64"},
             {"application/octet-stream", std::string("\0", 1), "text"},
         })
        assert_row(std::string(row.type) + "|" + row.payload.substr(0, 40),
                   std::string(name_of(classify(row.type, row.payload))) == row.kind);
}

static std::string envelope(const MessageEnvelope& message) {
    std::string out;
    append_message(out, message);
    return out;
}

static void messages(void**) {
    assert_text(
        envelope({"chat:room1", "k3f9q2.1041", 7, "msg", DataKind::Json, "{\"text\":\"hi\"}"}),
        "{\"channel\":\"chat:room1\",\"id\":\"k3f9q2.1041\",\"n\":7,\"event\":\"msg\","
        "\"data\":{\"text\":\"hi\"}}");
    assert_text(envelope({"c", "k.1", 0, "", DataKind::Text, "a\"b\\\r\n\t\x01\xe2\x98\x95", true}),
                "{\"channel\":\"c\",\"id\":\"k.1\",\"data\":\"a\\\"b\\\\\\r\\n\\t\\u0001"
                "\xe2\x98\x95\",\"retained\":true}");
    assert_text(
        envelope({"c", "k.1", UINT64_MAX, "", DataKind::Base64, "\xff\xfe"}),
        "{\"channel\":\"c\",\"id\":\"k.1\",\"n\":18446744073709551615,\"base64\":\"//4=\"}");
    assert_text(envelope({"c", "k.1", 1, "", DataKind::Json, "\r\n[1,\r2,\n3]\r\n"}),
                "{\"channel\":\"c\",\"id\":\"k.1\",\"n\":1,\"data\":  [1, 2, 3]  }");
    assert_text(
        envelope({"a\"},{\"x\":\"", "k.1", 1, "e\"", DataKind::Text, ""}),
        "{\"channel\":\"a\\\"},{\\\"x\\\":\\\"\",\"id\":\"k.1\",\"n\":1,\"event\":\"e\\\"\","
        "\"data\":\"\"}");
}

// Whatever is published, the envelope is one line of valid JSON, and the payload is in it.
static void every_byte(void**) {
    for (int byte = 0; byte < 256; ++byte)
        for (const std::string& around : {std::string(), std::string("a"), std::string("{\"a\":1}"),
                                          std::string("\xe2\x98\x95"), std::string("\"")}) {
            const std::string payload = around + static_cast<char>(byte) + around;
            const DataKind kind = classify("", payload);
            const std::string text = envelope({"c", "k.1", 1, "", kind, payload});
            assert_row(text, text.find_first_of("\r\n") == text.npos);
            const json parsed = json::parse(text, nullptr, false);
            assert_row(text, parsed.is_object());
            if (kind == DataKind::Text)
                assert_row(text, parsed["data"] == payload);
            assert_row(text, parsed.contains("base64") == (byte >= 0x80));
        }
}

// "rt-json-deep": neither valid nor invalid depth ends the process.
static void deep_json(void**) {
    const std::string deep = std::string(100000, '[') + std::string(100000, ']');
    const std::string text = envelope({"c", "k.1", 1, "", DataKind::Json, deep});
    assert_text(text, "{\"channel\":\"c\",\"id\":\"k.1\",\"n\":1,\"data\":" + deep + "}");
}

static void others(void**) {
    std::string out;
    append_gap(out, {"c", "k.40", "k.90", "trimmed"});
    append_gap(out, {"c", "k.40", "", "epoch"});
    assert_text(out, "{\"channel\":\"c\",\"gap\":{\"after\":\"k.40\",\"next\":\"k.90\","
                     "\"why\":\"trimmed\"}}"
                     "{\"channel\":\"c\",\"gap\":{\"after\":\"k.40\",\"next\":null,"
                     "\"why\":\"epoch\"}}");
    out.clear();
    append_gap_object(out, {"c\"", "k.40", "k.90", "trimmed"});
    assert_text(out, "{\"channel\":\"c\\\"\",\"after\":\"k.40\",\"next\":\"k.90\","
                     "\"why\":\"trimmed\"}");
    out.clear();
    append_hello(out, "f00d", "k.40", 25);
    assert_text(out, "{\"connection\":\"f00d\",\"position\":\"k.40\",\"heartbeat\":25}");
    out.clear();
    append_position(out, "k.40");
    assert_text(out, "{\"position\":\"k.40\"}");
    out.clear();
    append_end(out, "c", "deleted");
    append_end_object(out, "c", "deleted");
    assert_text(out, "{\"channel\":\"c\",\"end\":{\"code\":\"deleted\"}}"
                     "{\"channel\":\"c\",\"code\":\"deleted\"}");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(classification), cmocka_unit_test(messages), cmocka_unit_test(every_byte),
        cmocka_unit_test(deep_json),      cmocka_unit_test(others),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
